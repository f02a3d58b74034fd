#include <stdio.h>
#include <string.h>

#include "count.h"

int main(void)
{
    struct count total = {0, 0, 0};
    int inside = 0;

    count_more(&total, "one tw", 6, &inside);
    count_more(&total, "o\nthree\n", 8, &inside);
    if (total.lines != 2 || total.words != 3 || total.bytes != 14) {
        fprintf(stderr, "got %lu %lu %lu\n", total.lines, total.words, total.bytes);
        return 1;
    }
    return 0;
}
