#include "proto/message.h"

static const char *const task_kinds[TASK_KINDS] = {
    [TASK_PROFILE] = "profile", [TASK_EVALUATE] = "evaluate", [TASK_FINAL] = "final",
    [TASK_EXPORT] = "export",   [TASK_TRAIN] = "train",       [TASK_MEASURE] = "measure", [TASK_TIME] = "time",
};

static const char *const messages[MSG_TYPES] = {
    [MSG_HELLO] = "HELLO",
    [MSG_BEAT] = "BEAT",
    [MSG_RESULT] = "RESULT",
    [MSG_FAILED] = "FAILED",
    [MSG_GET] = "GET",
    [MSG_PUT] = "PUT",
    [MSG_BYE] = "BYE",
    [MSG_WELCOME] = "WELCOME",
    [MSG_REFUSE] = "REFUSE",
    [MSG_WORK] = "WORK",
    [MSG_ALIVE] = "ALIVE",
    [MSG_CHUNK] = "CHUNK",
    [MSG_NOBLOB] = "NOBLOB",
    [MSG_ACK] = "ACK",
    [MSG_STORED] = "STORED",
    [MSG_CANCEL] = "CANCEL",
    [MSG_CHECKPOINT] = "CHECKPOINT",
    [MSG_KEPT] = "KEPT",
};

const char *task_kind_name(enum task_kind k)
{
    if ((unsigned)k >= TASK_KINDS)
        BUG("task kind %d", (int)k);
    return task_kinds[k];
}

bool task_kind_dense(enum task_kind k)
{
    return k == TASK_PROFILE || k == TASK_TRAIN || k == TASK_MEASURE;
}

bool task_kind_quiet(enum task_kind k)
{
    return k == TASK_MEASURE || k == TASK_TIME;
}

const char *message_name(enum message_type t)
{
    if ((unsigned)t >= MSG_TYPES)
        BUG("message type %d", (int)t);
    return messages[t];
}

bool task_id_equal(const struct task_id *a, const struct task_id *b)
{
    return a->kind == b->kind && a->search == b->search && a->episode == b->episode && a->attempt == b->attempt;
}
