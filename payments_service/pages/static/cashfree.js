/* Opens Cashfree's checkout, which takes the place of this page. Source: docs, payments/online/web/redirect. */
(function () {
  "use strict";

  window.gatewayCheckout = {
    takesThePlace: true,

    isLoaded: function () {
      return typeof window.Cashfree === "function";
    },

    open: function (order, tell) {
      var cashfree = window.Cashfree({ mode: order.mode === "live" ? "production" : "sandbox" });
      var fail = function (error) {
        tell.closed();
        tell.failed(error && error.message);
      };
      cashfree
        .checkout({ paymentSessionId: order.paymentSessionId, redirectTarget: "_self" })
        .then(function (answer) {
          if (answer && answer.error) {
            fail(answer.error);
          } else if (answer && answer.paymentDetails) {
            tell.paid();
          }
        }, fail);
    },
  };
})();
