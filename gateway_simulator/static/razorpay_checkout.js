/* Stand-in for Razorpay's checkout.js: the same options, the same answers, a simulated pay page.
   Source: Razorpay docs, payments/payment-gateway/web-integration/standard/integration-steps. */
(function () {
  "use strict";

  // The pay page lives beside this script: …/razorpay/v1/checkout.js → …/razorpay/pay
  var payPage = new URL("../pay", document.currentScript.src);
  var callbackFields = ["razorpay_payment_id", "razorpay_order_id", "razorpay_signature"];
  var errorFields = ["code", "description", "source", "step", "reason"];

  function Razorpay(options) {
    if (!(this instanceof Razorpay)) {
      return new Razorpay(options);
    }
    if (!options || !options.key) {
      throw new Error("No key passed");
    }
    if (!options.name) {
      console.warn("Razorpay Checkout (simulator): the documents call the option name mandatory; it is missing.");
    }
    this.options = options;
    this.modal = options.modal || {};
    this.listeners = {};
    this.frame = null;
    this.onMessage = this.onMessage.bind(this);
    this.onKey = this.onKey.bind(this);
    this.onBack = this.onBack.bind(this);
  }

  Razorpay.prototype.on = function (event, listener) {
    (this.listeners[event] = this.listeners[event] || []).push(listener);
    return this;
  };

  Razorpay.prototype.emit = function (event, detail) {
    (this.listeners[event] || []).forEach(function (listener) {
      listener(detail);
    });
  };

  Razorpay.prototype.open = function () {
    if (this.frame) {
      return this;
    }
    this.frame = makeFrame(pageAddress(this.options), this.options, this.modal);
    this.focusedBefore = document.activeElement;
    this.scrollBefore = document.body.style.overflow;
    document.body.style.overflow = "hidden";
    document.body.appendChild(this.frame);
    window.addEventListener("message", this.onMessage);
    window.addEventListener("keydown", this.onKey);
    if (this.modal.handleback === true) {
      window.history.pushState({ razorpay: true }, "");
      window.addEventListener("popstate", this.onBack);
    }
    if (this.options.timeout) {
      this.timer = setTimeout(this.dismiss.bind(this, "timeout"), this.options.timeout * 1000);
    }
    return this;
  };

  Razorpay.prototype.close = function () {
    if (!this.frame) {
      return;
    }
    clearTimeout(this.timer);
    window.removeEventListener("message", this.onMessage);
    window.removeEventListener("keydown", this.onKey);
    window.removeEventListener("popstate", this.onBack);
    this.frame.remove();
    this.frame = null;
    document.body.style.overflow = this.scrollBefore;
    if (this.focusedBefore && this.focusedBefore.focus) {
      this.focusedBefore.focus();
    }
  };

  Razorpay.prototype.dismiss = function (reason) {
    if (!this.frame) {
      return;
    }
    if (this.modal.confirm_close && reason !== "timeout" && !window.confirm("Do you want to cancel the payment?")) {
      return;
    }
    this.close();
    if (typeof this.modal.ondismiss === "function") {
      this.modal.ondismiss(reason);
    }
  };

  Razorpay.prototype.escape = function () {
    if (this.modal.escape !== false) {
      this.dismiss();
    }
  };

  Razorpay.prototype.onKey = function (event) {
    if (event.key === "Escape") {
      this.escape();
    }
  };

  Razorpay.prototype.onBack = function () {
    this.dismiss();
  };

  Razorpay.prototype.onMessage = function (event) {
    if (!this.frame || event.origin !== payPage.origin || event.source !== this.frame.contentWindow) {
      return;
    }
    var message = event.data || {};
    if (message.type === "success") {
      this.succeed(message.fields);
    } else if (message.type === "failure") {
      this.fail(message.error);
    } else if (message.type === "dismiss") {
      this.dismiss();
    } else if (message.type === "escape") {
      this.escape();
    } else if (message.type === "backdrop" && this.modal.backdropclose === true) {
      this.dismiss();
    }
  };

  Razorpay.prototype.succeed = function (fields) {
    this.close();
    if (this.options.callback_url) {
      postForm(this.options.callback_url, pick(fields, callbackFields));
    } else if (typeof this.options.handler === "function") {
      this.options.handler(pick(fields, callbackFields));
    }
  };

  // The overlay stays open for another try, unless the page switched retries off or wants to be redirected.
  Razorpay.prototype.fail = function (error) {
    this.emit("payment.failed", { error: error });
    if (this.options.callback_url && this.options.redirect) {
      this.close();
      postForm(this.options.callback_url, errorForm(error));
    } else if (this.options.retry === false || (this.options.retry && this.options.retry.enabled === false)) {
      this.dismiss();
    }
  };

  function pageAddress(options) {
    var prefill = options.prefill || {};
    var page = new URL(payPage);
    var parameters = {
      key: options.key,
      order_id: options.order_id,
      amount: options.amount,
      currency: options.currency,
      name: options.name,
      description: options.description,
      image: options.image,
      color: options.theme && options.theme.color,
      payer_name: prefill.name,
      email: prefill.email,
      contact: prefill.contact,
      method: prefill.method,
      readonly: switchedOn(options.readonly),
      hidden: switchedOn(options.hidden),
      notes: options.notes && JSON.stringify(options.notes),
      origin: window.location.origin,
    };
    Object.keys(parameters).forEach(function (name) {
      if (parameters[name] !== undefined && parameters[name] !== null) {
        page.searchParams.set(name, parameters[name]);
      }
    });
    return page.href;
  }

  // { email: true, contact: false } → "email"
  function switchedOn(fields) {
    return Object.keys(fields || {})
      .filter(function (name) {
        return fields[name];
      })
      .join(",");
  }

  function makeFrame(address, options, modal) {
    var frame = document.createElement("iframe");
    var backdrop = (options.theme && options.theme.backdrop_color) || "rgba(0,0,0,.6)";
    frame.className = "razorpay-checkout-frame";
    frame.title = "Razorpay Checkout (simulator)";
    frame.setAttribute("data-testid", "razorpay-checkout-frame");
    frame.src = address;
    frame.style.cssText = "position:fixed;inset:0;width:100%;height:100%;border:0;z-index:2147483647";
    frame.style.background = backdrop;
    frame.addEventListener("load", function () {
      frame.focus();
    });
    if (modal.animation !== false && frame.animate) {
      frame.animate([{ opacity: 0 }, { opacity: 1 }], 150);
    }
    return frame;
  }

  function pick(fields, names) {
    var picked = {};
    names.forEach(function (name) {
      picked[name] = fields[name];
    });
    return picked;
  }

  function errorForm(error) {
    var form = {};
    errorFields.forEach(function (name) {
      form["error[" + name + "]"] = error[name];
    });
    form["error[metadata]"] = JSON.stringify(error.metadata);
    return form;
  }

  function postForm(address, fields) {
    var form = document.createElement("form");
    form.method = "post";
    form.action = address;
    form.hidden = true;
    Object.keys(fields).forEach(function (name) {
      var input = document.createElement("input");
      input.type = "hidden";
      input.name = name;
      input.value = fields[name];
      form.appendChild(input);
    });
    document.body.appendChild(form);
    form.submit();
  }

  window.Razorpay = Razorpay;
})();
