// The texts in an ONNX file's metadata_props, without a library for protobuf.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace cgnet {

/// The entry `name` of the ONNX file `content`; nothing if it has none, has two, or is no ONNX file. The rules and the
/// bounds are those of cgnet_deploy/onnxmeta.py.
std::optional<std::string> metadata_entry(std::string_view content, std::string_view name);

}  // namespace cgnet
