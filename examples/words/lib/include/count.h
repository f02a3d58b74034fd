#ifndef COUNT_H
#define COUNT_H

#include <stddef.h>

struct count {
    unsigned long lines, words, bytes;
};

/* Count what a piece of a text adds; *inside says whether the piece before it ended within a word. */
void count_more(struct count *total, const char *text, size_t length, int *inside);

#endif
