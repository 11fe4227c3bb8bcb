/* Stand-in for Cashfree's cashfree.js v3: the same call, the same three answers, a simulated pay page.
   Sources: docs payments/online/web/redirect; checkout.js of Cashfree's WooCommerce plugin 4.7.7.
   _blank, _top and an element as the target are what Cashfree's checkout is known to take, not documented here. */
(function () {
  "use strict";

  // The pay page lives beside the API: …/cashfree/pg/cashfree.js → …/cashfree/pay/<session>
  var payPages = new URL("../pay/", document.currentScript.src);
  var WINDOWS = ["_self", "_top", "_blank", "_parent"];
  var OVERLAY =
    "position:fixed;inset:0;width:100%;height:100%;border:0;z-index:2147483647;background:rgba(0,0,0,.6)";
  var INLINE = "display:block;width:100%;height:100%;min-height:640px;border:0";

  function Cashfree(options) {
    if (!options || ["sandbox", "production"].indexOf(options.mode) < 0) {
      throw new Error("mode must be sandbox or production");
    }
    return {
      checkout: checkout,
      version: function () {
        return "3 (simulator)";
      },
    };
  }

  function refusal(code, message) {
    return Promise.resolve({ error: { code: code, message: message, type: "invalid_request_error" } });
  }

  function checkout(options) {
    if (!options || !options.paymentSessionId) {
      return refusal("payment_session_id_missing", "paymentSessionId is missing");
    }
    var target = options.redirectTarget || "_self";
    var page = new URL(encodeURIComponent(options.paymentSessionId), payPages);
    if (options.returnUrl) {
      page.searchParams.set("returnUrl", options.returnUrl);
    }
    if (target === "_modal") {
      return inFrame(page, document.body, OVERLAY);
    }
    if (target instanceof Element) {
      return inFrame(page, target, INLINE);
    }
    if (WINDOWS.indexOf(target) < 0) {
      return refusal("redirect_target_invalid", "redirectTarget is not known");
    }
    if (!window.open(page.href, target)) {
      return refusal("popup_blocked", "The browser did not open a window");
    }
    return Promise.resolve({ redirect: true });
  }

  function inFrame(page, parent, style) {
    page.searchParams.set("modal", "1");
    var asked = document.activeElement;
    var frame = makeFrame(page.href, style);
    parent.appendChild(frame);
    frame.focus();
    return new Promise(function (resolve) {
      window.addEventListener("message", function hear(event) {
        if (event.origin !== payPages.origin || event.source !== frame.contentWindow) {
          return;
        }
        window.removeEventListener("message", hear);
        frame.remove();
        if (asked && asked.focus) {
          asked.focus();
        }
        resolve(event.data);
      });
    });
  }

  function makeFrame(address, style) {
    var frame = document.createElement("iframe");
    frame.title = "Cashfree Checkout (simulator)";
    frame.setAttribute("data-testid", "cashfree-checkout-frame");
    frame.src = address;
    frame.style.cssText = style;
    return frame;
  }

  window.Cashfree = Cashfree;
})();
