/* tally [N]: the N most frequent words of standard input (10 when N is not given). */
#include "tally.h"

#include <stdlib.h>

int main(int argc, char **argv)
{
    size_t most = argc > 1 ? strtoul(argv[1], NULL, 10) : 10;
    struct tally *tally = tally_new();
    struct tally_entry *entries;

    if (!tally || tally_read(tally, stdin) < 0 || !(entries = tally_sorted(tally))) {
        perror("tally");
        return 1;
    }
    for (size_t i = 0; i < most && i < tally_size(tally); i++)
        printf("%7lu %s\n", entries[i].count, entries[i].word);
    free(entries);
    tally_free(tally);
    return 0;
}
