#pragma once

namespace digits {

/// Runs gradcheck and gradgradcheck over each layer of the network and prints a table of worst relative errors, and the
/// report of each that failed. False where one did.
bool prove_gradients();

}  // namespace digits
