// cores ROOT: how many of 16 cores the cgroups of that file system leave.
#include "cores.hpp"

#include <cstdio>

int main(int, char** arguments) { std::printf("%d", cgnet::native::cores(arguments[1], 16)); }
