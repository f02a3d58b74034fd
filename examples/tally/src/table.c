#include "tally.h"

#include <stdlib.h>
#include <string.h>

/* An open hash table with linear probing; it doubles when two thirds are full. */
struct tally {
    struct tally_entry *slots;
    size_t capacity;
    size_t used;
};

static size_t hash(const char *word, size_t length)
{
    size_t value = 1469598103u;

    for (size_t i = 0; i < length; i++)
        value = (value ^ (unsigned char)word[i]) * 16777619u;
    return value;
}

static struct tally_entry *find(struct tally_entry *slots, size_t capacity, const char *word, size_t length)
{
    size_t at = hash(word, length) & (capacity - 1);

    while (slots[at].word && (strlen(slots[at].word) != length || memcmp(slots[at].word, word, length) != 0))
        at = (at + 1) & (capacity - 1);
    return &slots[at];
}

static int grow(struct tally *tally)
{
    size_t capacity = tally->capacity * 2;
    struct tally_entry *slots = calloc(capacity, sizeof *slots);

    if (!slots)
        return -1;
    for (size_t i = 0; i < tally->capacity; i++) {
        const char *word = tally->slots[i].word;

        if (word)
            *find(slots, capacity, word, strlen(word)) = tally->slots[i];
    }
    free(tally->slots);
    tally->slots = slots;
    tally->capacity = capacity;
    return 0;
}

struct tally *tally_new(void)
{
    struct tally *tally = calloc(1, sizeof *tally);

    if (!tally)
        return NULL;
    tally->capacity = 64;
    tally->slots = calloc(tally->capacity, sizeof *tally->slots);
    if (!tally->slots) {
        free(tally);
        return NULL;
    }
    return tally;
}

void tally_free(struct tally *tally)
{
    if (!tally)
        return;
    for (size_t i = 0; i < tally->capacity; i++)
        free(tally->slots[i].word);
    free(tally->slots);
    free(tally);
}

int tally_add(struct tally *tally, const char *word, size_t length)
{
    struct tally_entry *entry;

    if (tally->used * 3 >= tally->capacity * 2 && grow(tally) < 0)
        return -1;
    entry = find(tally->slots, tally->capacity, word, length);
    if (!entry->word) {
        entry->word = malloc(length + 1);
        if (!entry->word)
            return -1;
        memcpy(entry->word, word, length);
        entry->word[length] = '\0';
        tally->used++;
    }
    entry->count++;
    return 0;
}

unsigned long tally_count(const struct tally *tally, const char *word)
{
    return find(tally->slots, tally->capacity, word, strlen(word))->count;
}

size_t tally_size(const struct tally *tally)
{
    return tally->used;
}

static int by_count_then_word(const void *left, const void *right)
{
    const struct tally_entry *a = left, *b = right;

    if (a->count != b->count)
        return a->count < b->count ? 1 : -1;
    return strcmp(a->word, b->word);
}

struct tally_entry *tally_sorted(const struct tally *tally)
{
    struct tally_entry *entries = calloc(tally->used + 1, sizeof *entries);
    size_t next = 0;

    if (!entries)
        return NULL;
    for (size_t i = 0; i < tally->capacity; i++)
        if (tally->slots[i].word)
            entries[next++] = tally->slots[i];
    qsort(entries, next, sizeof *entries, by_count_then_word);
    return entries;
}
