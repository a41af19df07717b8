"""Studies beside a single run: audits, sweeps, exports, rescoring, inspections, tables of methods."""
