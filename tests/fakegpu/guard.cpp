// For a build of torch without CUDA: hooks and a device guard that say how many cards there are and do nothing else. Without them the
// backward engine has no queue for a card, and `.to("cuda")` no index. Only torch's headers are needed. See guard.py.
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include <atomic>

namespace {

using c10::Device;
using c10::DeviceIndex;
using c10::DeviceType;
using c10::Stream;

std::atomic<DeviceIndex> cards{0};
thread_local DeviceIndex current = 0;

Device card(DeviceIndex index) {
  return Device(DeviceType::CUDA, index);
}

struct CUDAHooks final : at::CUDAHooksInterface {
  explicit CUDAHooks(at::CUDAHooksArgs) {}
  void init() const override {}
  bool hasCUDA() const override { return cards > 0; }
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return cards > 0; }
  bool hasPrimaryContext(DeviceIndex) const override { return cards > 0; }
  DeviceIndex deviceCount() const override { return cards; }
  DeviceIndex getCurrentDevice() const override { return current; }
  DeviceIndex current_device() const override { return current; }
  void setCurrentDevice(DeviceIndex index) const override { current = index; }
};

struct Guard final : c10::impl::DeviceGuardImplInterface {
  DeviceType type() const override { return DeviceType::CUDA; }
  Device getDevice() const override { return card(current); }
  void setDevice(Device device) const override { current = device.index(); }
  void uncheckedSetDevice(Device device) const noexcept override { current = device.index(); }
  Device exchangeDevice(Device device) const override {
    const auto before = getDevice();
    current = device.index();
    return before;
  }
  Stream getStream(Device device) const override { return Stream(Stream::DEFAULT, device); }
  Stream getNewStream(Device device, int) const override { return getStream(device); }
  Stream exchangeStream(Stream stream) const override { return stream; }
  DeviceIndex deviceCount() const noexcept override { return cards; }
  void record(void**, const Stream&, const DeviceIndex, const c10::EventFlag) const override {}
  void block(void*, const Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  void destroyEvent(void*, const DeviceIndex) const noexcept override {}
  bool queryStream(const Stream&) const override { return true; }
  void synchronizeStream(const Stream&) const override {}
  void synchronizeEvent(void*) const override {}
  void synchronizeDevice(const DeviceIndex) const override {}
};

using at::CUDAHooksRegistry;
using at::RegistererCUDAHooksRegistry;
REGISTER_CUDA_HOOKS(CUDAHooks)  // torch looks for this very name
C10_REGISTER_GUARD_IMPL(CUDA, Guard)

}  // namespace

extern "C" void fakegpu_set_cards(int count) { cards = static_cast<DeviceIndex>(count); }
extern "C" void fakegpu_set_current(int index) { current = static_cast<DeviceIndex>(index); }
extern "C" int fakegpu_current() { return current; }
