// A CPU without AVX-VNNI refuses vpdpbusd of two 256-bit registers: this does then what it would have done.
#include <csignal>
#include <cstdint>
#include <cstring>
#include <ucontext.h>

namespace {

// Where Linux saves the registers that a signal interrupts: Intel's manual, volume 1, 13.4, the standard format.
constexpr int kLow = 160, kSaved = 512, kHigh = 576, kHighBit = 4;

struct Register {
  uint8_t bytes[32];
};

Register load(const uint8_t* area, int number) {
  Register r{};
  std::memcpy(r.bytes, area + kLow + 16 * number, 16);
  if (area[kSaved] & kHighBit) std::memcpy(r.bytes + 16, area + kHigh + 16 * number, 16);
  return r;
}

void store(uint8_t* area, int number, const Register& r) {
  if (!(area[kSaved] & kHighBit)) std::memset(area + kHigh, 0, 256), area[kSaved] |= kHighBit;
  std::memcpy(area + kLow + 16 * number, r.bytes, 16);
  std::memcpy(area + kHigh + 16 * number, r.bytes + 16, 16);
}

void refused(int signal, siginfo_t*, void* context) {
  auto& machine = static_cast<ucontext_t*>(context)->uc_mcontext;
  const auto* code = reinterpret_cast<const uint8_t*>(machine.gregs[REG_RIP]);
  auto* area = reinterpret_cast<uint8_t*>(machine.fpregs);
  // VEX.256.66.0F38.W0 50 /r, volume 2: the register bits of the prefix are inverted.
  const bool is_it = code[0] == 0xc4 && (code[1] & 0x1f) == 2 && (code[2] & 0x87) == 5 && code[3] == 0x50 && code[4] >> 6 == 3;
  if (!is_it) {
    std::signal(signal, SIG_DFL);
    return;
  }
  const int to = (code[4] >> 3 & 7) | (~code[1] >> 7 & 1) << 3;
  const int left = ~code[2] >> 3 & 15, right = (code[4] & 7) | (~code[1] >> 5 & 1) << 3;
  Register sum = load(area, to);
  const Register u8 = load(area, left), s8 = load(area, right);
  for (int lane = 0; lane < 8; lane++) {
    int32_t value;
    std::memcpy(&value, sum.bytes + 4 * lane, 4);
    for (int i = 4 * lane; i < 4 * lane + 4; i++) value += u8.bytes[i] * static_cast<int8_t>(s8.bytes[i]);
    std::memcpy(sum.bytes + 4 * lane, &value, 4);
  }
  store(area, to, sum);
  machine.gregs[REG_RIP] += 5;
}

[[maybe_unused]] const bool kIsAsked = [] {
  struct sigaction action {};
  action.sa_sigaction = refused;
  action.sa_flags = SA_SIGINFO;
  return sigaction(SIGILL, &action, nullptr) == 0;
}();

}  // namespace
