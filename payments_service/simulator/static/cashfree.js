/* Stand-in for Cashfree's cashfree.js v3: the same call, the same three answers, a simulated pay page.
   Sources: docs payments/online/web/redirect; checkout.js of cashfree's WooCommerce plugin 4.7.7. */
(function () {
  "use strict";

  // The pay page lives beside the API: …/cashfree/pg/cashfree.js → …/cashfree/pay/<session>
  var payPages = new URL("../pay/", document.currentScript.src);

  function Cashfree(options) {
    if (!options || ["sandbox", "production"].indexOf(options.mode) < 0) {
      throw new Error("mode must be sandbox or production");
    }
    return { checkout: checkout };
  }

  function checkout(options) {
    if (!options || !options.paymentSessionId) {
      return Promise.resolve({ error: { code: "payment_session_id_missing", message: "paymentSessionId is missing" } });
    }
    var target = options.redirectTarget || "_self";
    var page = new URL(encodeURIComponent(options.paymentSessionId), payPages);
    if (options.returnUrl) {
      page.searchParams.set("returnUrl", options.returnUrl);
    }
    if (target === "_modal") {
      return overlay(page);
    }
    if (["_self", "_top", "_blank"].indexOf(target) < 0) {
      return Promise.resolve({ error: { code: "redirect_target_invalid", message: "redirectTarget is not known" } });
    }
    window.open(page.href, target);
    return Promise.resolve({ redirect: true });
  }

  function overlay(page) {
    page.searchParams.set("modal", "1");
    var frame = makeFrame(page.href);
    document.body.appendChild(frame);
    return new Promise(function (resolve) {
      window.addEventListener("message", function hear(event) {
        if (event.origin !== payPages.origin || event.source !== frame.contentWindow) {
          return;
        }
        window.removeEventListener("message", hear);
        frame.remove();
        resolve(event.data);
      });
    });
  }

  function makeFrame(address) {
    var frame = document.createElement("iframe");
    frame.title = "Cashfree Checkout (simulator)";
    frame.setAttribute("data-testid", "cashfree-checkout-frame");
    frame.src = address;
    frame.style.cssText =
      "position:fixed;inset:0;width:100%;height:100%;border:0;z-index:2147483647;background:rgba(0,0,0,.6)";
    return frame;
  }

  window.Cashfree = Cashfree;
})();
