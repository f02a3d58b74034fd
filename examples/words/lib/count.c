#include "count.h"

#include <ctype.h>

void count_more(struct count *total, const char *text, size_t length, int *inside)
{
    for (size_t i = 0; i < length; i++) {
        int space = isspace((unsigned char)text[i]) != 0;

        total->lines += text[i] == '\n';
        total->words += !space && !*inside;
        *inside = !space;
    }
    total->bytes += length;
}
