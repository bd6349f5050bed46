// Which kernels this CPU runs.
#include <string>

#include "kernels.hpp"
#include "onnx.hpp"

namespace cgnet {
namespace {

bool runs(const Kernels* kernels) {
  if (!kernels) return false;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (kernels == avx512_kernels())
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx2") &&
           __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  if (kernels == avx2_kernels())
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
#endif
  return kernels == generic_kernels();
}

}  // namespace

const Kernels& kernels_for(const char* name) {
  const std::string wanted = name ? name : "";
  std::string able;
  for (const Kernels* kernels : {avx512_kernels(), avx2_kernels(), generic_kernels()}) {
    if (!runs(kernels)) continue;
    if (wanted.empty() || wanted == kernels->name) return *kernels;
    able += std::string(able.empty() ? "" : ", ") + kernels->name;
  }
  throw Unavailable("no kernels \"" + wanted.substr(0, 40) + "\" for this CPU, which runs " + able);
}

}  // namespace cgnet
