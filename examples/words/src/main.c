/* words: count the lines, words and bytes of standard input. */
#include <stdio.h>
#include <string.h>

#include "count.h"
#include "gen/version.h"

int main(int argc, char **argv)
{
    struct count total = {0, 0, 0};
    char buffer[65536];
    size_t length;
    int inside = 0;

    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        puts("words " VERSION);
        return 0;
    }
    while ((length = fread(buffer, 1, sizeof buffer, stdin)) > 0)
        count_more(&total, buffer, length, &inside);
    printf("%lu %lu %lu\n", total.lines, total.words, total.bytes);
    return ferror(stdin) != 0;
}
