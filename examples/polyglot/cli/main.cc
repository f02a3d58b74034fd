// describe NUMBER...: print the mean and the standard deviation.
#include <cstdlib>
#include <iostream>
#include <vector>

#include "stats/stats.h"

int main(int argc, char **argv)
{
    std::vector<double> numbers;

    for (int i = 1; i < argc; i++)
        numbers.push_back(std::atof(argv[i]));
    const int count = static_cast<int>(numbers.size());
    std::cout << stats_mean(numbers.data(), count) << " +- " << stats_deviation(numbers.data(), count) << '\n';
}
