#pragma once

#include <filesystem>

namespace cgnet::native {

// How many cores this process may keep busy: by its affinity and the CPU quotas of its cgroups (v1 and v2), as Python's
// cgnet_deploy/threads.py counts them. A quota of 1.5 cores is 1: a second thread would stop both for a part of every
// period. root: of the file system. affinity: the cores that it may run on, 0 to ask the system.
int cores(const std::filesystem::path& root = "/", int affinity = 0);

}  // namespace cgnet::native
