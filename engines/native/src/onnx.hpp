// An ONNX file as nodes and constants: the few fields of its protobuf messages that this engine reads, each bounded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
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

struct Tensor {
  enum Type { kFloat = 1, kUint8 = 2, kInt8 = 3, kInt64 = 7 };
  int type = 0;
  std::vector<int64_t> dims;
  std::vector<uint8_t> bytes;  // little-endian, as in the file

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
  std::map<std::string, Tensor> constants;
  std::string input, output;
};

// Throws Error for bytes that are no ONNX file of a network of this kind.
Graph read_onnx(const uint8_t* data, size_t size);

}  // namespace cgnet::native
