-- A new value of a type can't be used in the transaction that makes it, so these have a script of their own.
alter type espalier.cost_kind add value 'latency';
alter type espalier.task_kind add value 'measure';
alter type espalier.task_kind add value 'time';
