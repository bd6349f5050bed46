// A caller's frames before an engine sees them.
#pragma once

#include <cstddef>

#include "artifact.hpp"
#include "backend.hpp"

namespace cgnet {

/// Throw FrameError for frames that an engine for `shape` does not take, and for frames of several sizes.
Batch checked(const Frame* frames, std::size_t count, const Shape& shape);
DeviceBatch checked(const DeviceFrame* frames, std::size_t count, const Shape& shape);

}  // namespace cgnet
