/* Opens Razorpay's checkout. Source: docs, payment-gateway/web-integration/standard/integration-steps. */
(function () {
  "use strict";

  window.gatewayCheckout = {
    isLoaded: function () {
      return typeof window.Razorpay === "function";
    },

    open: function (order, tell) {
      var checkout = new window.Razorpay({
        key: order.razorpayKey,
        order_id: order.orderId,
        amount: order.amount,
        currency: order.currency,
        name: order.merchant,
        description: order.description.replace(/^[^\p{L}\p{N}]+/u, ""), // must begin with a letter or digit
        timeout: order.secondsLeft,
        handler: function () {
          tell.paid();
        },
        modal: {
          ondismiss: function () {
            tell.closed();
          },
        },
      });
      // The checkout stays open for another try; the order stays payable.
      checkout.on("payment.failed", function (answer) {
        tell.failed(answer && answer.error && answer.error.description);
      });
      checkout.open();
    },
  };
})();
