/* Opens PhonePe's page, which takes the place of this one. Source: docs, website/standard-checkout.
   Its script only adds to the way there, so the payer can pay without it; V1 has none. */
(function () {
  "use strict";

  window.gatewayCheckout = {
    needsScript: false,
    takesThePlace: true,

    isLoaded: function () {
      return Boolean(window.PhonePeCheckout);
    },

    open: function (order) {
      if (window.PhonePeCheckout) {
        window.PhonePeCheckout.transact({ tokenUrl: order.redirectUrl });
      } else {
        window.location.assign(order.redirectUrl);
      }
    },
  };
})();
