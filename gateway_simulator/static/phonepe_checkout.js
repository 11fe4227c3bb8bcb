/* Stand-in for PhonePe's checkout.js: the same two calls, the same two words to the callback.
   Source: docs website/standard-checkout/invoke-iframe. */
(function () {
  "use strict";

  var frame = null;
  var listener = null;
  var focused = null;

  function transact(options) {
    if (!options || !options.tokenUrl) {
      throw new Error("tokenUrl is missing");
    }
    if (options.type !== "IFRAME") {
      window.location.assign(options.tokenUrl);
      return;
    }
    closePage();
    frame = makeFrame(options.tokenUrl);
    listener = function (event) {
      if (frame && event.source === frame.contentWindow && event.origin === new URL(options.tokenUrl).origin) {
        closePage();
        if (typeof options.callback === "function") {
          options.callback(event.data.result);
        }
      }
    };
    window.addEventListener("message", listener);
    focused = document.activeElement;
    document.body.appendChild(frame);
    frame.focus();
  }

  function closePage() {
    if (frame) {
      window.removeEventListener("message", listener);
      frame.remove();
      frame = null;
      if (focused) {
        focused.focus();
      }
    }
  }

  function makeFrame(address) {
    var made = document.createElement("iframe");
    made.title = "PhonePe Checkout (simulator)";
    made.setAttribute("data-testid", "phonepe-checkout-frame");
    made.src = address;
    made.style.cssText =
      "position:fixed;inset:0;width:100%;height:100%;border:0;z-index:2147483647;background:rgba(0,0,0,.6)";
    return made;
  }

  window.PhonePeCheckout = { transact: transact, closePage: closePage };
})();
