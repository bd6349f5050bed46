#include "onnx.hpp"

#include <cstring>

namespace cgnet::native {
namespace {

constexpr size_t kMaxFile = size_t{1} << 26, kMaxNodes = 1 << 13, kMaxTensor = size_t{1} << 24, kMaxList = 64;

// The fields of one message: a key (number << 3 | wire type) and a value each.
class Message {
 public:
  Message(const uint8_t* begin, size_t bytes) : at_(begin), end_(begin + bytes) {}

  bool next() {
    if (at_ == end_) return false;
    const uint64_t key = varint();
    number = static_cast<int>(key >> 3 & 0x1fffffff);
    wire = static_cast<int>(key & 7);
    if (number == 0) cut();
    switch (wire) {
      case 0: value = varint(); break;
      case 1: take(8); break;
      case 2: take(varint()); break;
      case 5: take(4); break;
      default: cut();
    }
    return true;
  }

  Message message() const { return check(2), Message(data, size); }
  std::string text() const { return check(2), std::string(reinterpret_cast<const char*>(data), size); }
  float real() const {
    check(5);
    float f;
    std::memcpy(&f, data, 4);
    return f;
  }
  int64_t integer() const { return check(0), static_cast<int64_t>(value); }
  // A repeated number: packed, or one field for each.
  void append(std::vector<int64_t>& list, size_t most) const {
    if (wire == 0) list.push_back(integer());
    else
      for (Message packed = message(); packed.at_ != packed.end_ && list.size() <= most;)
        list.push_back(static_cast<int64_t>(packed.varint()));
    if (list.size() > most) throw Error("a list in the file is longer than a CGNet has any");
  }

  int number = 0, wire = 0;
  uint64_t value = 0;
  const uint8_t* data = nullptr;
  size_t size = 0;

 private:
  [[noreturn]] static void cut() { throw Error("not an ONNX file, or cut short"); }
  void check(int wanted) const {
    if (wire != wanted) cut();
  }
  void take(uint64_t count) {
    if (count > static_cast<uint64_t>(end_ - at_)) cut();
    data = at_;
    size = static_cast<size_t>(count);
    at_ += size;
  }
  uint64_t varint() {
    uint64_t number_ = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (at_ == end_) cut();
      const uint8_t byte = *at_++;
      number_ |= static_cast<uint64_t>(byte & 127) << shift;
      if (byte < 128) return number_;
    }
    cut();
  }

  const uint8_t *at_, *end_;
};

size_t width_of(int type) {
  switch (type) {
    case Tensor::kFloat: return 4;
    case Tensor::kUint8:
    case Tensor::kInt8: return 1;
    case Tensor::kInt64: return 8;
    default: return 0;
  }
}

template <class T>
void push(std::vector<uint8_t>& bytes, T value) {
  const size_t at = bytes.size();
  bytes.resize(at + sizeof value);
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

std::pair<std::string, Tensor> read_tensor(Message field) {
  Tensor tensor;
  std::string name;
  std::vector<int64_t> numbers;
  while (field.next()) switch (field.number) {
      case 1: field.append(tensor.dims, 8); break;
      case 2: tensor.type = static_cast<int>(field.integer()); break;
      case 4:  // float_data
        if (field.wire == 5) push(tensor.own, field.real());
        else field.message(), tensor.own.insert(tensor.own.end(), field.data, field.data + field.size);
        break;
      case 5: case 7: field.append(numbers, kMaxTensor); break;
      case 8: name = field.text(); break;
      case 9: field.message(), tensor.data = field.data, tensor.bytes = field.size; break;
      case 14:
        if (field.integer() != 0) throw Error("weights are kept in another file: save it as one file");
        break;
      default: break;
    }
  for (const int64_t number : numbers)
    if (tensor.type == Tensor::kInt64) push(tensor.own, number);
    else push(tensor.own, static_cast<uint8_t>(number));
  if (!tensor.own.empty()) tensor.data = tensor.own.data(), tensor.bytes = tensor.own.size();
  if (const size_t width = width_of(tensor.type)) {
    if (tensor.bytes != tensor.size() * width) throw Error("the constant " + name + " has not the size it says");
  }
  return {name, std::move(tensor)};
}

void read_attribute(Message field, Node& node) {
  std::string name, text;
  std::vector<int64_t> ints;
  float real = 0;
  while (field.next()) switch (field.number) {
      case 1: name = field.text(); break;
      case 2: real = field.real(); break;
      case 3: ints.push_back(field.integer()); break;
      case 4: text = field.text(); break;
      case 8: field.append(ints, kMaxList); break;
      default: break;
    }
  if (!ints.empty()) node.ints[name] = std::move(ints);
  else if (!text.empty()) node.texts[name] = std::move(text);
  else node.floats[name] = real;
}

Node read_node(Message field) {
  Node node;
  while (field.next()) switch (field.number) {
      case 1: node.inputs.push_back(field.text()); break;
      case 2: node.outputs.push_back(field.text()); break;
      case 3: node.name = field.text(); break;
      case 4: node.op = field.text(); break;
      case 5: read_attribute(field.message(), node); break;
      default: break;
    }
  if (node.outputs.size() != 1 || node.inputs.empty() || node.inputs.size() > kMaxList)
    throw Error("node " + node.name + " (" + node.op + ") has not the inputs and outputs of one in a CGNet");
  return node;
}

std::string read_port(Message field) {
  std::string name;
  while (field.next())
    if (field.number == 1) name = field.text();
  return name;
}

}  // namespace

size_t Tensor::size() const {
  size_t count = 1;
  for (const int64_t side : dims) {
    if (side < 0 || static_cast<uint64_t>(side) > kMaxTensor / (count ? count : 1))
      throw Error("a constant is larger than a CGNet has any");
    count *= static_cast<size_t>(side);
  }
  return count;
}

template <class T>
std::vector<T> Tensor::as(Type wanted, const std::string& what) const {
  if (type != wanted) throw Error(what + " is of ONNX type " + std::to_string(type) + ", wanted " + std::to_string(wanted));
  std::vector<T> values(size());
  if (!values.empty()) std::memcpy(values.data(), data, bytes);
  return values;
}
template std::vector<float> Tensor::as(Type, const std::string&) const;
template std::vector<int8_t> Tensor::as(Type, const std::string&) const;
template std::vector<uint8_t> Tensor::as(Type, const std::string&) const;
template std::vector<int64_t> Tensor::as(Type, const std::string&) const;

int64_t Node::integer(const std::string& key, int64_t otherwise) const {
  const auto found = ints.find(key);
  return found == ints.end() ? otherwise : found->second.front();
}

Graph read_onnx(const uint8_t* data, size_t size) {
  if (size == 0) throw Error("the file is empty");
  if (size > kMaxFile) throw Error("the file is larger than 64 MiB: not a CGNet");
  Graph graph;
  bool found = false;
  for (Message model(data, size); model.next();) {
    if (model.number != 7) continue;
    found = true;
    for (Message field = model.message(); field.next();) switch (field.number) {
        case 1:
          if (graph.nodes.size() == kMaxNodes) throw Error("the graph has more nodes than a CGNet");
          graph.nodes.push_back(read_node(field.message()));
          break;
        case 5: graph.constants.insert(read_tensor(field.message())); break;
        case 11:
          if (!graph.input.empty()) throw Error("the graph has several inputs, a CGNet has one");
          graph.input = read_port(field.message());
          break;
        case 12:
          if (!graph.output.empty()) throw Error("the graph has several outputs, a CGNet has one");
          graph.output = read_port(field.message());
          break;
        default: break;
      }
  }
  if (!found) throw Error("not an ONNX file, or cut short");
  return graph;
}

}  // namespace cgnet::native
