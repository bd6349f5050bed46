// Checks on a plan before TensorRT sees it: intact, from a known builder, made for this machine; else refused.
//
// A plan opens with 28 bytes: a tag that names its builder, and in bytes 24 to 27 the builder's version, major, minor,
// patch, build. The rules are those of cgnet_deploy/engines/plan.py.
#pragma once

#include <array>
#include <string>

#include "artifact.hpp"

namespace cgnet {

/// Throws ArtifactError if `file` is not a plan, or was not written by what its sidecar says.
void check_plan(const File& file);

/// Throws EngineUnavailable unless the plan in `file` was built by the `installed` TensorRT and for `architecture`, such
/// as sm_90, that of the GPU called `gpu`. It has passed `check_plan`.
void check_fits(const File& file, const std::array<int, 4>& installed, const std::string& gpu,
                const std::string& architecture);

/// The command that builds a plan again.
std::string rebuild(const Artifact& plan);

}  // namespace cgnet
