/* The picture of a front: a document that any reader of XML takes, whatever the names, and every mark where its
 * numbers say. */
#include <check.h>
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/cli/plot.h"
#include "coordinator/cli/xml.h"

static const double half[] = {0.5};
static const struct plot_point three[] = {{0.7321, 0.9134, 12, "flops 0.8", false},
                                          {0.4975, 0.8541, 7, "flops 0.5", false},
                                          {0.7321, 0.8822, 12, "flops 0.8", true}};
static const struct plot plain = {.title = "Search 1: x",
                                  .cost = "MACs",
                                  .budget_kind = "flops",
                                  .points = three,
                                  .n = 3,
                                  .dense = 0.9273,
                                  .budgets = half,
                                  .n_budgets = 1};

/* --- a strict little reader --- */

static const char *reference(const char *s)
{
    static const char *const known[] = {"&amp;", "&lt;", "&gt;", "&quot;"};
    for (size_t i = 0; i < 4; i++)
        if (strncmp(s, known[i], strlen(known[i])) == 0)
            return s + strlen(known[i]);
    ck_abort_msg("a bare &: %.40s", s);
}

/* Up to any of `ends`. */
static const char *text(const char *s, const char *ends)
{
    while (!strchr(ends, *s)) {
        ck_assert_msg(*s != '<' && *s != '>', "markup in a text: %.40s", s);
        ck_assert_msg((unsigned char)*s >= 0x20 || *s == '\n', "byte %d in a text", *s);
        s = *s == '&' ? reference(s) : s + 1;
    }
    ck_assert_msg(*s, "a text that doesn't end");
    return s;
}

static const char *name(const char *s, char out[32])
{
    size_t n = 0;
    for (; isalnum((unsigned char)s[n]) || s[n] == '-'; n++)
        ck_assert_uint_lt(n, 31);
    ck_assert_msg(n > 0, "no name: %.40s", s);
    snprintf(out, 32, "%.*s", (int)n, s);
    return s + n;
}

/* s: behind a start tag's name; returns what follows the tag. */
static const char *attributes(const char *s, bool *closed)
{
    char seen[16][32];
    int n = 0;
    while (*s == ' ') {
        s = name(s + 1, seen[n]);
        for (int i = 0; i < n; i++)
            ck_assert_str_ne(seen[i], seen[n]);
        ck_assert_int_lt(++n, 16);
        ck_assert_msg(s[0] == '=' && s[1] == '"', "no value: %.40s", s);
        s = text(s + 2, "\"") + 1;
    }
    *closed = *s == '/';
    s += *closed;
    ck_assert_msg(*s == '>', "no end of a tag: %.40s", s);
    return s + 1;
}

static void well_formed(const char *s)
{
    static const char head[] = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
    char open[16][32], end[32];
    int depth = 0;
    ck_assert_int_eq(strncmp(s, head, strlen(head)), 0);
    s += strlen(head);
    do {
        ck_assert_msg(*s == '<', "text outside of all: %.40s", s);
        if (s[1] == '/') {
            ck_assert_int_gt(depth, 0);
            s = name(s + 2, end);
            ck_assert_str_eq(end, open[--depth]);
            ck_assert(*s++ == '>');
        } else {
            bool closed;
            ck_assert_int_lt(depth, 16);
            s = attributes(name(s + 1, open[depth]), &closed);
            depth += !closed;
        }
        if (depth > 0)
            s = text(s, "<");
    } while (depth > 0);
    ck_assert_str_eq(s, "\n");
}

static char *draw(const struct plot *p)
{
    struct buf b = {0};
    plot_svg(p, &b);
    ck_assert_ptr_nonnull(b.p);
    ck_assert_uint_eq(strlen((char *)b.p), b.n);
    well_formed((char *)b.p);
    ck_assert_ptr_null(strstr((char *)b.p, "nan"));
    ck_assert_ptr_null(strstr((char *)b.p, "inf"));
    ck_assert_ptr_null(strstr((char *)b.p, "<script"));
    ck_assert_ptr_null(strstr((char *)b.p, "href"));
    return (char *)b.p;
}

/* --- numbers from the document --- */

static const char *group(const char *svg, const char *id)
{
    char s[64];
    snprintf(s, sizeof(s), "id=\"%s\"", id);
    return strstr(svg, s);
}

static int count(const char *svg, const char *what)
{
    int n = 0;
    while ((svg = strstr(svg, what)))
        n++, svg++;
    return n;
}

/* The value at `px`, by what is written at the axis's first and last tick. */
static double value_at(const char *svg, bool x, double px)
{
    double v[2] = {0}, at[2] = {0};
    int n = 0;
    const char *s = group(svg, x ? "x-ticks" : "y-ticks"), *end = strstr(s, "</g>");
    while ((s = strstr(s, "<path d=\"M")) && s < end) {
        double mx, my, value;
        ck_assert_int_eq(sscanf(s, "<path d=\"M%lf %lf", &mx, &my), 2);
        s = strstr(s, "<text ");
        ck_assert_int_eq(sscanf(strchr(s, '>'), ">%lf<", &value), 1);
        v[n > 0] = value;
        at[n > 0] = x ? mx : my;
        n++;
    }
    ck_assert_int_ge(n, 3);
    ck_assert_int_le(n, 12);
    return v[0] + (px - at[0]) / (at[1] - at[0]) * (v[1] - v[0]);
}

static void is_at(const char *svg, double px, double py, double ratio, double top1)
{
    ck_assert_double_eq_tol(value_at(svg, true, px), ratio, 0.0002);
    ck_assert_double_eq_tol(value_at(svg, false, py), 100 * top1, 0.01);
}

/* --- tests --- */

START_TEST(marks_lie_where_their_numbers_say)
{
    double x, y, x0, y0, h, v;
    char *svg = draw(&plain);
    const char *s = group(svg, "points");
    ck_assert_int_eq(sscanf(strstr(s, "<circle"), "<circle cx=\"%lf\" cy=\"%lf\"", &x0, &y0), 2);
    is_at(svg, x0, y0, 0.4975, 0.8541); /* the cheaper first, whatever the order */
    ck_assert_int_eq(sscanf(strstr(strstr(s, "<circle") + 1, "<circle"), "<circle cx=\"%lf\" cy=\"%lf\"", &x, &y),
                     2);
    is_at(svg, x, y, 0.7321, 0.9134);
    ck_assert_int_eq(sscanf(group(svg, "front"), "id=\"front\" d=\"M%lf %lfH%lfV%lf\"", &x0, &y0, &h, &v), 4);
    is_at(svg, x0, y0, 0.4975, 0.8541);
    is_at(svg, h, v, 0.7321, 0.9134);
    ck_assert_int_eq(sscanf(strstr(s, "<path"), "<path d=\"M%lf %lfl%lf", &x, &y, &h), 3);
    is_at(svg, x, y + h, 0.7321, 0.8822); /* from the diamond's top, half its height down */
    ck_assert_int_eq(sscanf(strstr(group(svg, "budgets"), "<path"), "<path d=\"M%lf", &x), 1);
    ck_assert_double_eq_tol(value_at(svg, true, x), 0.5, 0.0002);
    ck_assert_int_eq(
        sscanf(strstr(group(svg, "dense"), "<rect"), "<rect x=\"%lf\" y=\"%lf\" width=\"%lf\"", &x, &y, &h), 3);
    is_at(svg, x + h / 2, y + h / 2, 1, 0.9273);
    ck_assert_int_eq(sscanf(strstr(group(svg, "dense"), "<path"), "<path d=\"M%lf %lf", &x, &y), 2);
    ck_assert_double_eq_tol(value_at(svg, false, y), 92.73, 0.01);
    free(svg);
}
END_TEST

/* By ratio even where accuracy doesn't follow: latencies that were measured beside other figures of the dense
 * network. */
START_TEST(staircase_goes_by_ratio)
{
    static const struct plot_point two[] = {{0.8, 0.85, 2, "", false}, {0.6, 0.88, 1, "", false}};
    struct plot p = plain;
    double x, y, h, v;
    p.points = two;
    p.n = 2;
    char *svg = draw(&p);
    ck_assert_int_eq(sscanf(group(svg, "front"), "id=\"front\" d=\"M%lf %lfH%lfV%lf\"", &x, &y, &h, &v), 4);
    is_at(svg, x, y, 0.6, 0.88);
    is_at(svg, h, v, 0.8, 0.85);
    free(svg);
}
END_TEST

START_TEST(points_say_what_they_are)
{
    char *svg = draw(&plain);
    ck_assert_ptr_nonnull(strstr(svg, "<title>Search 1: x</title>"));
    ck_assert_ptr_nonnull(strstr(
        svg,
        "<title>episode 7, budget flops 0.5: top-1 85.41% on the reward split, ratio 0.4975</title></circle>"));
    ck_assert_ptr_nonnull(strstr(svg, "<title>finalist, episode 12, budget flops 0.8: top-1 88.22% on the test "
                                      "set, ratio 0.7321</title></path>"));
    ck_assert_ptr_nonnull(strstr(svg, "finalists, test set"));
    ck_assert_ptr_nonnull(strstr(svg, ">flops 0.5</text>"));
    ck_assert_ptr_nonnull(strstr(svg, "<rect width=\"800\" height=\""));
    free(svg);
    struct plot p = plain;
    p.n = 2;
    svg = draw(&p);
    ck_assert_ptr_null(strstr(svg, "finalists, test set"));
    free(svg);
}
END_TEST

static const struct {
    const char *in;
    int most;
    const char *out;
} texts[] = {
    {"</title><script>alert(\"1\" & 'x')</script>", -1,
     "&lt;/title&gt;&lt;script&gt;alert(&quot;1&quot; &amp; 'x')&lt;/script&gt;"},
    {"]]>&amp;", -1, "]]&gt;&amp;amp;"},
    {"\x01"
     "a\x1b[31m\x7f",
     -1,
     "\ufffd"
     "a\ufffd[31m\ufffd"},
    {"na\u00efve \u7f51\u7edc \U0001f333", -1, "na\u00efve \u7f51\u7edc \U0001f333"},
    {"\xff\xc3", -1, "\ufffd\ufffd"},                     /* no character, and one cut off */
    {"\xc0\xaf", -1, "\ufffd\ufffd"},                     /* "/" written too long */
    {"\xed\xa0\x80", -1, "\ufffd\ufffd\ufffd"},           /* half a surrogate pair */
    {"\xef\xbf\xbe", -1, "\ufffd\ufffd\ufffd"},           /* U+FFFE */
    {"\xf4\x90\x80\x80", -1, "\ufffd\ufffd\ufffd\ufffd"}, /* beyond U+10FFFF */
    {"\u00e9\u00e9\u00e9", 3, "\u00e9\u00e9\u00e9"},
    {"\u00e9\u00e9&&", 3, "\u00e9\u00e9&amp;\u2026"},
    {"", 3, ""},
};

START_TEST(any_text_can_be_written)
{
    struct buf b = {0};
    buf_text(&b, "x");
    xml_text(&b, texts[_i].in, texts[_i].most);
    ck_assert_str_eq((char *)b.p + 1, texts[_i].out);
    buf_release(&b);
}
END_TEST

START_TEST(hostile_names_stay_texts)
{
    struct plot p = plain;
    struct plot_point one = {0.5, 0.9, 1, "<g onload=\"x\">&", false};
    p.title = "\"/><script href='x'>]]>&\x02\xff";
    p.cost = "<b>&";
    p.budget_kind = "</text>\"<&";
    p.points = &one;
    p.n = 1;
    struct buf b = {0};
    plot_svg(&p, &b);
    well_formed((char *)b.p);
    ck_assert_ptr_null(strstr((char *)b.p, "<script"));
    ck_assert_ptr_nonnull(
        strstr((char *)b.p, "<title>&quot;/&gt;&lt;script href='x'&gt;]]&gt;&amp;\ufffd\ufffd</title>"));
    buf_release(&b);
}
END_TEST

START_TEST(few_or_equal_points_have_axes)
{
    static const struct plot_point same[] = {{1, 1, 0, "flops 1", false},
                                             {1, 1, 1, "flops 1", false},
                                             {1, 1, 1, "flops 1", true}},
                                   zero = {0, 0, 3, "", false}, dear = {41.5, 0.5, 4, "latency 1", false},
                                   odd[] = {{NAN, 0.5, 5, "", false},
                                            {0.5, INFINITY, 6, "", true},
                                            {0.25, 0.75, 7, "", false}};
    static const struct {
        const struct plot_point *points;
        int n, drawn;
        double dense;
    } cases[] = {{NULL, 0, 0, 0.9}, {NULL, 0, 0, NAN},  {same, 3, 3, 1},   {same, 1, 1, NAN}, {&zero, 1, 1, 0},
                 {&zero, 1, 1, 1},  {&dear, 1, 1, 0.9}, {odd, 3, 1, 0.75}, {three, 1, 1, NAN}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct plot p = plain;
        p.points = cases[i].points;
        p.n = cases[i].n;
        p.dense = cases[i].dense;
        p.n_budgets = i % 2;
        char *svg = draw(&p);
        ck_assert_int_eq(count(group(svg, "points"), "</title>"), cases[i].drawn);
        ck_assert_int_eq(group(svg, "dense") != NULL, isfinite(p.dense));
        ck_assert_int_eq(group(svg, "budgets") != NULL, p.n_budgets);
        if (cases[i].drawn > 0) {
            double x, y;
            const struct plot_point *last = &p.points[p.points == odd ? 2 : 0];
            ck_assert_int_eq(
                sscanf(strstr(group(svg, "points"), "<circle"), "<circle cx=\"%lf\" cy=\"%lf\"", &x, &y), 2);
            ck_assert_double_eq_tol(value_at(svg, true, x), last->ratio, 0.0005 * (1 + last->ratio));
            ck_assert_double_eq_tol(value_at(svg, false, y), 100 * last->top1, 0.05);
        }
        free(svg);
    }
}
END_TEST

/* Close budgets' labels lie in rows above one another, and move the frame down. */
START_TEST(labels_of_budgets_do_not_overlap)
{
    static const double budgets[] = {0.5, 0.501, 0.52, 0.9};
    struct plot p = plain;
    p.budgets = budgets;
    p.n_budgets = 4;
    char *svg = draw(&p);
    const char *s = group(svg, "budgets"), *end = strstr(s, "</g>");
    double x[5], y[5];
    int n = 0;
    while ((s = strstr(s, "<text ")) && s < end) {
        ck_assert_int_eq(sscanf(s, "<text x=\"%lf\" y=\"%lf\"", &x[n], &y[n]), 2);
        ck_assert_int_lt(++n, 5);
        s++;
    }
    ck_assert_int_eq(n, 4);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < i; j++)
            ck_assert_msg(fabs(x[i] - x[j]) > 60 || fabs(y[i] - y[j]) > 12, "labels %d and %d", i, j);
    free(svg);
}
END_TEST

/* Ticks are 1, 2 or 5 of some power of ten apart. */
START_TEST(ticks_are_round)
{
    for (double spread = 0.001; spread < 0.9; spread *= 1.37) {
        struct plot_point far = {1 - spread, 0.9 - spread, 1, "", false};
        struct plot p = plain;
        p.points = &far;
        p.n = 1;
        p.n_budgets = 0;
        char *svg = draw(&p), *s = strstr(group(svg, "y-ticks"), "<text ");
        double a, b;
        ck_assert_int_eq(sscanf(strchr(s, '>'), ">%lf<", &a), 1);
        ck_assert_int_eq(sscanf(strchr(strstr(s + 1, "<text "), '>'), ">%lf<", &b), 1);
        double step = (b - a) / pow(10, floor(log10(b - a) + 1e-6));
        ck_assert_msg(fabs(step - 1) < 1e-6 || fabs(step - 2) < 1e-6 || fabs(step - 5) < 1e-6, "%g to %g", a, b);
        free(svg);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("plot");
    TCase *t = tcase_create("plot");
    tcase_set_timeout(t, 10);
    tcase_add_test(t, marks_lie_where_their_numbers_say);
    tcase_add_test(t, staircase_goes_by_ratio);
    tcase_add_test(t, points_say_what_they_are);
    tcase_add_loop_test(t, any_text_can_be_written, 0, sizeof(texts) / sizeof(texts[0]));
    tcase_add_test(t, hostile_names_stay_texts);
    tcase_add_test(t, few_or_equal_points_have_axes);
    tcase_add_test(t, labels_of_budgets_do_not_overlap);
    tcase_add_test(t, ticks_are_round);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r), run = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !run;
}
