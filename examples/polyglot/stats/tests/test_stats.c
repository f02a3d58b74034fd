/* Prints in the Test Anything Protocol, so that each case is told. */
#include <stdio.h>

#include "stats/stats.h"

static int cases, failures;

static void check(int good, const char *name)
{
    printf("%sok %d - %s\n", good ? "" : "not ", ++cases, name);
    failures += !good;
}

int main(void)
{
    const double numbers[] = {2, 4, 4, 4, 5, 5, 7, 9};

    check(stats_mean(numbers, 8) == 5, "the mean");
    check(stats_deviation(numbers, 8) == 2, "the standard deviation");
    check(stats_mean(numbers, 0) == 0, "the mean of nothing");
    check(stats_is_small_prime(229) && !stats_is_small_prime(221), "primes");
    printf("1..%d\n", cases);
    return failures != 0;
}
