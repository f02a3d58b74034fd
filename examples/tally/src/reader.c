#include "tally.h"

#include <ctype.h>

enum { LONGEST = 256 };

/* A longer word is counted by its first LONGEST characters. */
int tally_read(struct tally *tally, FILE *stream)
{
    char word[LONGEST];
    size_t length = 0;
    int c;

    while ((c = getc(stream)) != EOF) {
        if (isalnum(c)) {
            if (length < sizeof word)
                word[length++] = (char)tolower(c);
        } else if (length) {
            if (tally_add(tally, word, length) < 0)
                return -1;
            length = 0;
        }
    }
    if (length && tally_add(tally, word, length) < 0)
        return -1;
    return ferror(stream) ? -1 : 0;
}
