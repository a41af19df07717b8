"""The type of a config's component: one of the classes of a registry, chosen by `kind` or `source`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Discriminator, GetCoreSchemaHandler, Tag, ValidationInfo, ValidatorFunctionWrapHandler
from pydantic_core import CoreSchema, core_schema

from numerai_lab.config.kinds import member_name, members, without_idle
from numerai_lab.config.stand_ins import STAND_INS, StandIn
from numerai_lab.core.component import Component


@dataclass(frozen=True, eq=False)
class OneOf:
    """Marks a type as one of a registry's classes, as the registry is when a model with the type is built.

    family: the name of the registry. key: `kind` or `source`. The validation context may name kinds of plug-ins that are not
    loaded, with a sentence about each (`ways_out`): stand-ins take their place.
    """

    registry: Mapping[str, type[Component]]
    family: str
    key: str = "kind"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_wrap_validator_function(
            self._validated,
            handler.generate_schema(self._union()),
            serialization=core_schema.wrap_serializer_function_ser_schema(self._dumped, info_arg=True),
        )

    def _union(self) -> Any:
        """The union of the classes, tagged by `key` and, where a kind is several classes, by one more parameter."""
        tagged = tuple(Annotated[cls, Tag(name)] for name, cls in members(self.registry).items())
        union: Any = tagged[0]
        for member in tagged[1:]:
            union = union | member
        return Annotated[union, Discriminator(self._tag)]

    def _tag(self, value: Any) -> Any:
        return member_name(self.registry, self.key, value)

    def _validated(self, value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        kind = value.get(self.key) if isinstance(value, Mapping) else None
        if not isinstance(kind, str):
            return value if isinstance(value, StandIn) else handler(value)
        if kind in self.registry:
            return handler(without_idle(self.registry[kind], value))
        way_out = (info.context or {}).get(self.family, {}).get(kind)
        return handler(value) if way_out is None else STAND_INS[self.family].of(value, way_out)

    def _dumped(self, value: Any, handler: core_schema.SerializerFunctionWrapHandler, info: core_schema.SerializationInfo) -> Any:
        """Plain values; those of a stand-in are not known to the union."""
        return value.as_given() if isinstance(value, StandIn) else handler(value)
