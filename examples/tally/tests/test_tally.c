#include "tally.h"

#include <stdlib.h>
#include <string.h>

static int failures;

static void expect(int truth, const char *claim)
{
    printf("%s %s\n", truth ? "ok    " : "not ok", claim);
    failures += !truth;
}

int main(void)
{
    FILE *stream = tmpfile();
    struct tally *tally = tally_new();
    struct tally_entry *entries;

    if (!stream || !tally) {
        perror("test_tally");
        return 1;
    }
    fputs("The cat, the dog; THE end.\n", stream);
    for (int i = 0; i < 1000; i++)
        fprintf(stream, "w%d ", i);
    rewind(stream);

    expect(tally_read(tally, stream) == 0, "a stream is read to its end");
    expect(tally_count(tally, "the") == 3, "case does not matter");
    expect(tally_count(tally, "bird") == 0, "a word that is not there counts 0");
    expect(tally_size(tally) == 1004, "the table grows");
    entries = tally_sorted(tally);
    expect(entries && strcmp(entries[0].word, "the") == 0, "the most frequent word comes first");
    expect(entries && strcmp(entries[1].word, "cat") == 0, "equals are in alphabetical order");

    free(entries);
    tally_free(tally);
    fclose(stream);
    return failures != 0;
}
