/* Any bytes as the body of POST /v1/searches: refused with a line, or within every limit. */
#include <stdlib.h>
#include <string.h>

#include "coordinator/http/submit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct submit s;
    struct err e = {.text = ""};
    if (submit_parse(data, n, &s, &e) < 0) {
        if (!e.text[0] || strchr(e.text, '\n'))
            abort();
        return 0;
    }
    if (!s.spec || strlen(s.spec) != s.n_spec || s.n_files < 0 || s.n_files > RECIPE_MAX_FILES)
        abort();
    for (int i = 0; i < s.n_files; i++)
        if (!s.files[i].name[0] || strchr(s.files[i].name, '/') || s.files[i].size == 0 ||
            s.files[i].size > SUBMIT_MAX_FILE)
            abort();
    submit_release(&s);
    return 0;
}
