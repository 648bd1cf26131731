// Where an op was recorded is told by a function of the program's, not by one of the library's.
#include <limpid/limpid.hpp>

#include <iostream>
#include <string>

using namespace limpid;

[[gnu::noinline]] Tensor function_of_the_program(const Tensor& x) { return exp(x) * 2.0; }

int main() {
  const RecordSources sources;
  Tensor x = ones({3});
  x.set_requires_grad();
  const std::string graph = to_dot(function_of_the_program(x));
  if (graph.find("function_of_the_program") != std::string::npos) return 0;
  std::cerr << "expected a graph that names function_of_the_program, got\n" << graph;
  return 1;
}
