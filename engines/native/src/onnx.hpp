// An ONNX file as nodes and constants: the few fields of its protobuf messages that this engine reads, each bounded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

namespace cgnet::native {

// What is wrong with a file, a size or a machine, in one line.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// This machine can't do it.
struct Unavailable : Error {
  using Error::Error;
};

// Its bytes, little-endian, stay where the file has them, or in `own` where the file has each number as a field.
struct Tensor {
  enum Type { kFloat = 1, kUint8 = 2, kInt8 = 3, kInt64 = 7 };
  int type = 0;
  std::vector<int64_t> dims;
  const uint8_t* data = nullptr;
  size_t bytes = 0;
  std::vector<uint8_t> own;

  Tensor() = default;
  Tensor(Tensor&&) = default;
  size_t size() const;  // elements
  template <class T>
  std::vector<T> as(Type wanted, const std::string& what) const;  // throws Error for another type
};

struct Node {
  std::string op, name;
  std::vector<std::string> inputs, outputs;
  std::map<std::string, std::vector<int64_t>> ints;  // an attribute `i` is a list of one
  std::map<std::string, float> floats;
  std::map<std::string, std::string> texts;

  int64_t integer(const std::string& key, int64_t otherwise) const;
};

struct Graph {
  std::vector<Node> nodes;
  std::unordered_map<std::string, Tensor> constants;
  std::string input, output;
};

// `data` must outlive it. Throws Error for bytes that are no ONNX file of a network of this kind.
Graph read_onnx(const uint8_t* data, size_t size);

}  // namespace cgnet::native
