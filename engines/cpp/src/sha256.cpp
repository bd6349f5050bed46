#include "sha256.hpp"

#include <array>

#include <openssl/evp.h>

#include <cgnet/segmenter.hpp>

namespace cgnet {

std::string sha256_of(const std::string& content) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  if (EVP_Digest(content.data(), content.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1)
    throw Error("OpenSSL can't compute a sha256");
  std::string text;
  for (unsigned int i = 0; i < size; ++i) {
    text += "0123456789abcdef"[digest[i] >> 4U];
    text += "0123456789abcdef"[digest[i] & 0xfU];
  }
  return text;
}

}  // namespace cgnet
