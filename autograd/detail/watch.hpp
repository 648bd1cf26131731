// What may watch ops being recorded and replayed. One byte per thread says whether anything does.
#pragma once
#include <limpid/autograd/anomaly.hpp>
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/pool.hpp>

#include <cstdint>
#include <initializer_list>
#include <string>

namespace limpid::detail {

inline constexpr uint8_t watch_anomalies = 1, watch_infinities = 2, watch_sources = 4, watch_times = 8;
/// What tells of layers.
inline constexpr uint8_t watch_layers = watch_anomalies | watch_sources;
LIMPID_FAST_TLS extern thread_local constinit uint8_t watching;

/// Keeps the calls that led here, and the open TraceScopes, for source_of(node).
void note_source(const Node& node);
/// Where the program recorded node: "file:line (function)", or what is known of that; empty where nothing was noted.
std::string source_of(const Node& node);

/// Throws AutogradError where y, node's newly recorded result, holds a NaN or an infinity. xs: its operands, or none.
void check_forward(const Node& node, const Tensor& y, std::initializer_list<const Tensor*> xs);
/// The same for the gradients that node's backward made of dys.
void check_backward(const Node& node, const Tensors& dxs, const Tensors& dys);
/// The same for the tangents of its outputs.
void check_tangents(const Node& node, const Tensors& dys);

/// Names a layer, as a TraceScope names a part of the program: of nested ones the innermost alone is told. path is that
/// of the layer in its model, and must outlive the scope.
struct LayerScope : TraceScope {
  explicit LayerScope(const char* path) noexcept : TraceScope(path, SourceLocation::current("", 0)) {}
};

/// Times one op while it lives, where a Profiler runs.
class OpScope {
 public:
  explicit OpScope(const char* op) noexcept : OpScope(op, false) {}
  ~OpScope() {
    if (recorder_) [[unlikely]]
      close(recorder_);
  }
  OpScope(const OpScope&) = delete;
  OpScope& operator=(const OpScope&) = delete;

 protected:
  OpScope(const char* op, bool backward) noexcept {
    if (watching & watch_times) [[unlikely]]
      recorder_ = open(op, backward);
  }

 private:
  static void* open(const char* op, bool backward) noexcept;
  static void close(void* recorder) noexcept;
  void* recorder_ = nullptr;  ///< the profiler's that saw it begin, which may be the innermost no more where it ends
};

/// The same for the backward of a node.
struct BackwardScope : OpScope {
  explicit BackwardScope(const Node& node) noexcept : OpScope(node.name(), true) {}
};

}  // namespace limpid::detail
