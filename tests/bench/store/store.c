/*
 * Durable results a second into a private PostgreSQL with fsync on, as so many workers would send them: each of
 * `workers` has one evaluation under way, and begins the next when its result is durable. A line each for results
 * alone, and for all that an evaluation writes (candidate, attempt, result): workers, what, evaluations a second,
 * mean milliseconds from sent to durable.
 */
#include "tests/unit/store_trial.h"

enum { EVALUATIONS = 8000 };

static int64_t search;
static bool whole; /* candidate, attempt and result each, one after the other */
static int next_episode, last_episode, over;
static int64_t waited_ns;

struct worker {
    int episode, step;
    int64_t sent_ns;
};

static void advance(void *arg, const struct err *e);

static void take_next(struct worker *w)
{
    if (next_episode == last_episode)
        return;
    *w = (struct worker){next_episode++, whole ? 0 : 2, clock_mono_ns()};
    advance(w, NULL);
}

static void advance(void *arg, const struct err *e)
{
    struct worker *w = arg;
    ck_assert_msg(!e, "%s", e ? e->text : "");
    switch (w->step++) {
    case 0:
        put_candidate(s, search, w->episode, advance, w);
        break;
    case 1:
        put_attempt(s, search, w->episode, 1, advance, w);
        break;
    case 2:
        put_result(s, search, w->episode, 1, advance, w);
        break;
    default:
        waited_ns += clock_mono_ns() - w->sent_ns;
        over++;
        take_next(w);
    }
}

static void prepare(int from, int to)
{
    struct note n = {0};
    for (int i = from; i < to; i++)
        put_started(s, search, i, &n);
    run_for(loop, s, NULL, 60000);
}

static void measure(int workers, int n, bool all)
{
    static struct worker w[1024];
    whole = all;
    last_episode = next_episode + n;
    if (!whole)
        prepare(next_episode, last_episode);
    over = 0;
    waited_ns = 0;
    int64_t start = clock_mono_ns();
    for (int i = 0; i < workers; i++)
        take_next(&w[i]);
    run_for(loop, s, NULL, 120000);
    double seconds = (double)(clock_mono_ns() - start) / 1e9;
    printf("%5d workers  %-28s %8.0f a second  %7.2f ms\n", workers, all ? "candidate, attempt, result" : "result",
           over / seconds, (double)waited_ns / 1e6 / over);
}

START_TEST(durable_results)
{
    search = put_search(loop, s);
    measure(1, 500, false);
    measure(64, EVALUATIONS, false);
    measure(1024, EVALUATIONS, false);
    measure(64, EVALUATIONS, true);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("durable results");
    TCase *t = tcase_create("durable results");
    tcase_set_timeout(t, 300);
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, durable_results);
    suite_add_tcase(suite, t);
    return run_suite(suite, true);
}
