/* Counting words: a table of words with their counts, and a reader that fills it. */
#ifndef TALLY_H
#define TALLY_H

#include <stddef.h>
#include <stdio.h>

struct tally_entry {
    char *word;
    unsigned long count;
};

struct tally;

struct tally *tally_new(void);
void tally_free(struct tally *tally);

/* Counts one word. Returns 0, or -1 when memory is exhausted. */
int tally_add(struct tally *tally, const char *word, size_t length);

/* Counts every word of a stream. A word is a run of letters and digits, in lower case. */
int tally_read(struct tally *tally, FILE *stream);

/* How often a word was seen; 0 for one that never was. */
unsigned long tally_count(const struct tally *tally, const char *word);

/* The number of different words. */
size_t tally_size(const struct tally *tally);

/* A new array of all entries, the most frequent first and equals in alphabetical order; the caller frees the array. */
struct tally_entry *tally_sorted(const struct tally *tally);

#endif
