// Whether an ONNX file keeps data in other files, which is refused: such a path may name any file of the machine.
#pragma once

#include <string_view>

namespace cgnet {

enum class Data { inside, outside, unreadable };

/// Where the tensors of the ONNX file `content` say that their data is; unreadable for what is no ONNX file, nested too
/// deeply or too large. The walk and its bounds are those of engines/outside.py.
Data data_of(std::string_view content);

}  // namespace cgnet
