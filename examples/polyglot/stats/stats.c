#include "stats/stats.h"

#include <math.h>

#include "gen/primes.h"

double stats_mean(const double *numbers, int count)
{
    double sum = 0;

    for (int i = 0; i < count; i++)
        sum += numbers[i];
    return count > 0 ? sum / count : 0;
}

double stats_deviation(const double *numbers, int count)
{
    double mean = stats_mean(numbers, count);
    double sum = 0;

    for (int i = 0; i < count; i++)
        sum += (numbers[i] - mean) * (numbers[i] - mean);
    return count > 0 ? sqrt(sum / count) : 0;
}

int stats_is_small_prime(int number)
{
    static const int primes[PRIME_COUNT] = {PRIMES};

    for (int i = 0; i < PRIME_COUNT; i++)
        if (primes[i] == number)
            return 1;
    return 0;
}
