/*
 * overlay - a spec's YAML with values of the command line put over it: `--set search.episodes=60`, `--set
 * budgets.flops=[0.5]`. Knows YAML, not what the keys mean: the result is parsed like any spec.
 */
#ifndef COORDINATOR_CLI_OVERLAY_H
#define COORDINATOR_CLI_OVERLAY_H

#include "common/base/buf.h"

/*
 * Replaces `yaml` by itself with each of the n settings "KEY.PATH=VALUE" applied in order; the value is YAML.
 * Without settings nothing changes, comments stay. ERR_INVALID names the setting, or the line of what isn't YAML.
 */
MUST_CHECK int overlay_apply(struct buf *yaml, const char *const *settings, int n, struct err *e);

#endif
