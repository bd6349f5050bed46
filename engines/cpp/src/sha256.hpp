#pragma once

#include <string>

namespace cgnet {

/// 64 hexadecimal digits. By OpenSSL, which uses the CPU's own instructions and is reviewed by more people than a
/// copy here would be.
std::string sha256_of(const std::string& content);

}  // namespace cgnet
