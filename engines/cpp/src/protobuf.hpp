// The fields of an ONNX file's messages, without a library for protobuf: bounded, and nothing is copied.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace cgnet {

enum class Wire { varint, fixed, bytes };

/// value: the bytes behind the key and the length.
struct Field {
  std::uint64_t number = 0;
  Wire wire = Wire::varint;
  std::string_view value;
};

/// The number that `bytes` begins with, which is taken off them; nothing if it is cut.
std::optional<std::uint64_t> take_varint(std::string_view& bytes);

/// The field that `bytes` begins with, which is taken off them; nothing if they are no message.
std::optional<Field> take_field(std::string_view& bytes);

}  // namespace cgnet
