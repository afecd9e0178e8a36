-- A new value of a type can't be used in the transaction that makes it, so these two have a script of their own.
alter type espalier.task_kind add value 'train';
alter type espalier.outcome add value 'diverged';
