"""Types and sizes of JSON that is read, whoever wrote it: building blocks of schemas, and the check of a mapping by one."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

WHOLE = 2**63 - 1
Count = Annotated[int, Field(ge=0, le=WHOLE)]
Whole = Annotated[int, Field(ge=-WHOLE, le=WHOLE)]
Number = Annotated[float, Field(ge=-1e300, le=1e300)]
Seconds = Annotated[Number, Field(ge=0)]
Text = Annotated[str, Field(max_length=10_000)]
Sums = Annotated[dict[Text, Annotated[int, Field(ge=0, lt=2**32)]], Field(max_length=1_000_000)]
"""CRC-32 of files, by name."""


STRICT = ConfigDict(strict=True, extra="ignore")
"""Values have the types of the schema; further keys are those of other versions."""


def checked(facts: dict[str, Any], schema: type[BaseModel], file: str) -> dict[str, Any]:
    """The same facts. Raises ValueError, with the path of keys, where they are not those of the schema. file: the file's name."""
    try:
        schema.model_validate(facts)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"][:3]))[:100]
        raise ValueError(f"{file}: {where}: {first['msg'][0].lower()}{first['msg'][1:120]}") from None
    return facts
