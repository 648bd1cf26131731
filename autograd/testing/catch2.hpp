// Gradient checks as Catch2 matchers, for Catch2 2 and 3:
//     REQUIRE_THAT(f, PassesGradcheck({x, w}));
// Not part of limpid.hpp, and in need of nothing but Catch2.
#pragma once
// The version already included, or else the newest there is.
#if !defined(CATCH_VERSION_MAJOR) && !__has_include(<catch2/catch_version_macros.hpp>)
#include <catch2/catch.hpp>
#endif
#if !defined(CATCH_AMALGAMATED_HPP_INCLUDED) && (!defined(CATCH_VERSION_MAJOR) || CATCH_VERSION_MAJOR >= 3)
#include <catch2/catch_version_macros.hpp>
#include <catch2/matchers/catch_matchers_templated.hpp>
#endif
#include <limpid/autograd/function.hpp>
#include <limpid/autograd/gradcheck.hpp>
#include <limpid/core/export.hpp>

#include <optional>
#include <string>
#include <typeinfo>
#include <utility>

namespace LIMPID_API limpid {
namespace testing {

#if CATCH_VERSION_MAJOR >= 3
/// Catch2 3 takes matchers of any type from this base alone; what they match, describe() tells.
using MatcherBase = Catch::Matchers::MatcherGenericBase;
#else
/// Catch2 2 takes whatever has match() and toString().
struct MatcherBase {
  virtual ~MatcherBase() = default;
  virtual std::string describe() const = 0;
  std::string toString() const { return describe(); }
};
#endif

/// Matches a function whose gradients pass; describes itself by the report.
template <bool twice>
class GradcheckMatcher : public MatcherBase {
 public:
  GradcheckMatcher(Tensors inputs, const GradcheckOptions& options, const SourceLocation& where)
      : inputs_(std::move(inputs)),
        options_(options),
        where_(where) {}

  template <class F>
  bool match(F&& f) const {
    if constexpr (twice)
      report_ = gradgradcheck(f, inputs_, options_, where_);
    else
      report_ = gradcheck(f, inputs_, options_, where_);
    return report_->passed;
  }

  std::string describe() const override {
    const std::string name = twice ? "passes gradgradcheck" : "passes gradcheck";
    return report_ ? name + "\n" + to_string(*report_) : name;
  }

 private:
  Tensors inputs_;
  GradcheckOptions options_;
  SourceLocation where_;
  mutable std::optional<GradcheckReport> report_;
};

}  // namespace testing

/// Matches a function of the inputs whose backward gives its derivative: see gradcheck, which takes the same arguments.
inline testing::GradcheckMatcher<false> PassesGradcheck(const Tensors& inputs, const GradcheckOptions& options = {},
                                                        const SourceLocation& where = SourceLocation::current()) {
  return {inputs, options, where};
}

/// The same for its second derivative: see gradgradcheck.
inline testing::GradcheckMatcher<true> PassesGradgradcheck(const Tensors& inputs, const GradcheckOptions& options = {},
                                                           const SourceLocation& where = SourceLocation::current()) {
  return {inputs, options, where};
}

}  // namespace limpid

namespace Catch {

/// What a function of tensors is called in a failure: by its type, which names a functor, and a lambda's parameters.
/// Without, Catch2 would print a lambda as the 1 that its function pointer converts to.
template <class F>
requires limpid::detail::TensorCallable<F>
struct StringMaker<F, void> {
  static std::string convert(const F&) {
    const std::string name = limpid::FunctionNode::type_name(typeid(F));
    const std::size_t lambda = name.rfind("::{lambda(");
    return lambda == std::string::npos ? name : name.substr(lambda + 2);
  }
};
template <class Result, class... Xs>
requires limpid::detail::TensorCallable<Result(Xs...)>
struct StringMaker<Result (*)(Xs...), void> {
  static std::string convert(Result (*)(Xs...)) { return limpid::FunctionNode::type_name(typeid(Result(Xs...))); }
};

}  // namespace Catch
