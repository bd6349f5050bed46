#include "cores.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <limits>
#include <sstream>
#include <string>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#endif

namespace cgnet::native {
namespace {

using std::filesystem::path;

constexpr double kNoLimit = std::numeric_limits<double>::infinity();

int allowed() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
  return static_cast<int>(std::thread::hardware_concurrency());
}

std::string text(const path& file) {
  std::ifstream stream(file);
  return {std::istreambuf_iterator<char>(stream), {}};
}

// In cores. "max" in v2 and -1 in v1 are no limit.
double limit_of(const path& group) {
  std::istringstream words(text(group / "cpu.max"));
  if (words.str().empty()) words.str(text(group / "cpu.cfs_quota_us") + " " + text(group / "cpu.cfs_period_us"));
  double quota = 0, period = 0;
  return words >> quota >> period && quota > 0 && period > 0 ? quota / period : kNoLimit;
}

// Of the group and those around it. In a container its path may be that of the host: then only the top is there.
double limit_below(const path& top, const path& group) {
  double least = limit_of(top);
  path at = top;
  for (const path& name : group.relative_path())
    if (name == "..") break;
    else least = std::min(least, limit_of(at /= name));
  return least;
}

bool has_cpu(const std::string& controllers) {
  return ("," + controllers + ",").find(",cpu,") != std::string::npos;
}

}  // namespace

int cores(const path& root, int affinity) {
  double least = affinity > 0 ? affinity : allowed();
  std::istringstream groups(text(root / "proc/self/cgroup"));
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string number = line.substr(0, first), controllers = line.substr(first + 1, second - first - 1);
    const path top = root / "sys/fs/cgroup", group = line.substr(second + 1);
    if (number == "0" && controllers.empty()) least = std::min(least, limit_below(top, group));
    else if (has_cpu(controllers))
      for (const char* mount : {"cpu", "cpu,cpuacct", "cpuacct,cpu"}) least = std::min(least, limit_below(top / mount, group));
  }
  return std::max(1, static_cast<int>(least));
}

}  // namespace cgnet::native
