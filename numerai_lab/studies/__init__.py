"""What is done with experiments besides running one: audits, sweeps, exports, rescoring, inspections, tables of methods."""
