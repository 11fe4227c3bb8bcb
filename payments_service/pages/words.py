"""What the pages say, in English and in Hindi: one table.

Names in braces are filled in by `Speech`. The days a bank has to return money: Reserve Bank of India,
Harmonisation of Turn Around Time, 20 September 2019 (account debited, merchant not told: T + 5 days).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

INDIA = timezone(timedelta(hours=5, minutes=30))
LANGUAGES: Mapping[str, str] = {"en": "English", "hi": "हिन्दी"}
"""Each in its own words; a visitor who wants neither reads the first."""


@dataclass(frozen=True)
class Text:
    en: str
    hi: str


WORDS: Mapping[str, Text] = {
    # ── the hosted page, by stage ──
    "preparing.heading": Text("Preparing your payment", "आपका भुगतान तैयार हो रहा है"),
    "preparing.sentence": Text(
        "This takes a moment longer than usual. Please stay on this page.",
        "इसमें थोड़ा ज़्यादा समय लग रहा है। कृपया इसी पेज पर रहें।",
    ),
    "payable.heading": Text("Ready to pay", "भुगतान के लिए तैयार"),
    "payable.sentence": Text(
        "{gateway} opens by itself. If it does not, use the button.",
        "{gateway} अपने-आप खुलेगा। न खुले तो बटन दबाएँ।",
    ),
    "confirming.heading": Text("Confirming your payment", "भुगतान की पुष्टि हो रही है"),
    "confirming.sentence": Text(
        "We are asking {gateway} whether it went through. Please do not pay again.",
        "हम {gateway} से पता कर रहे हैं कि भुगतान हुआ या नहीं। कृपया दोबारा भुगतान न करें।",
    ),
    "completed.heading": Text("Paid", "भुगतान हो गया"),
    "completed.sentence": Text("Thank you, your payment has been received.", "धन्यवाद, आपका भुगतान मिल गया है।"),
    "failed.heading": Text("Payment failed", "भुगतान नहीं हो पाया"),
    "failed.sentence": Text(
        "It was not completed. You can go back to {merchant} and try again.",
        "यह भुगतान पूरा नहीं हुआ। आप {merchant} पर वापस जाकर दोबारा कोशिश कर सकते हैं।",
    ),
    "expired.heading": Text("Time is up", "समय समाप्त हो गया"),
    "expired.sentence": Text(
        "This payment can no longer be made here. Please go back to {merchant} and start again.",
        "यह भुगतान अब यहाँ नहीं हो सकता। कृपया {merchant} पर वापस जाकर फिर से शुरू करें।",
    ),
    "review.heading": Text("We are looking into this payment", "हम इस भुगतान की जाँच कर रहे हैं"),
    "review.sentence": Text(
        "Something about it needs a person’s eye. Please do not pay again; {merchant} will be in touch.",
        "किसी को इसे खुद देखना होगा। कृपया दोबारा भुगतान न करें; {merchant} की ओर से आपसे संपर्क किया जाएगा।",
    ),
    "moved.heading": Text("This payment has moved", "यह भुगतान दूसरी जगह चला गया है"),
    "moved.sentence": Text(
        "Your order goes on in another payment, opened later. Please do not pay here, go back to {merchant}.",
        "आपका ऑर्डर बाद में खोले गए दूसरे भुगतान में जारी है। कृपया यहाँ भुगतान न करें; {merchant} पर वापस जाएँ।",
    ),
    # ── the hosted page, while it is being paid ──
    "opening.heading": Text("One moment", "एक पल रुकें"),
    "opening.sentence": Text("Opening {gateway}.", "{gateway} खुल रहा है।"),
    "open.heading": Text("Ready to pay", "भुगतान के लिए तैयार"),
    "open.sentence": Text("{gateway} is open in front of this page.", "{gateway} इस पेज के ऊपर खुला है।"),
    "shown_again.heading": Text("Ready to pay", "भुगतान के लिए तैयार"),
    "shown_again.sentence": Text(
        "If you have just paid, wait a moment: this page finds out by itself. If not, use the button.",
        "अगर आपने अभी भुगतान किया है तो थोड़ा रुकें, यह पेज खुद पता कर लेगा। नहीं किया है तो बटन दबाएँ।",
    ),
    "slow.heading": Text("Still opening {gateway}", "{gateway} अब भी खुल रहा है"),
    "slow.sentence": Text(
        "Your connection seems slow. You can wait, try again, or go back and pay another way.",
        "आपका इंटरनेट धीमा लग रहा है। आप इंतज़ार करें, दोबारा कोशिश करें, या वापस जाकर किसी और तरीके से भुगतान करें।",
    ),
    "blocked.heading": Text("{gateway} could not be opened", "{gateway} नहीं खुल पाया"),
    "blocked.sentence": Text(
        "No money was taken by this try. Check your connection, switch off ad or script blockers for this "
        "page, then try again. Or go back to {merchant} and pay another way.",
        "इस कोशिश में कोई पैसा नहीं कटा। इंटरनेट जाँचें, इस पेज के लिए ऐड या स्क्रिप्ट ब्लॉकर बंद करें और दोबारा "
        "कोशिश करें। या {merchant} पर वापस जाकर किसी और तरीके से भुगतान करें।",
    ),
    "closed.heading": Text("Payment not finished", "भुगतान पूरा नहीं हुआ"),
    "closed.sentence": Text(
        "You closed the payment window. You can try again.",
        "आपने पेमेंट विंडो बंद कर दी। आप दोबारा कोशिश कर सकते हैं।",
    ),
    "declined.heading": Text("That did not work", "यह कोशिश सफल नहीं हुई"),
    "declined.sentence": Text(
        "{reason} You can try again, also with another method.",
        "{reason} आप दोबारा कोशिश कर सकते हैं, किसी और तरीके से भी।",
    ),
    "leaving.heading": Text("Thank you", "धन्यवाद"),
    "leaving.sentence": Text(
        "We are checking your payment and taking you back.",
        "हम आपका भुगतान जाँच रहे हैं और आपको वापस ले जा रहे हैं।",
    ),
    "long.heading": Text("This takes longer than usual", "इसमें ज़्यादा समय लग रहा है"),
    "long.sentence": Text(
        "Please do not pay again. You may close this page and look again later.",
        "कृपया दोबारा भुगतान न करें। आप यह पेज बंद करके बाद में फिर देख सकते हैं।",
    ),
    "no_news": Text("Asked just now: nothing new yet.", "अभी पता किया: कोई नई जानकारी नहीं है।"),
    "offline": Text(
        "You seem to be offline. We ask again when you are back.",
        "लगता है इंटरनेट बंद है। चालू होते ही हम फिर पता करेंगे।",
    ),
    # ── what can be done ──
    "pay": Text("Pay {amount}", "{amount} का भुगतान करें"),
    "again": Text("Try again", "दोबारा कोशिश करें"),
    "check": Text("Check now", "अभी पता करें"),
    "back": Text("Back to {merchant}", "{merchant} पर वापस जाएँ"),
    "through": Text("You pay through {gateway}", "भुगतान {gateway} के ज़रिए होगा"),
    "title": Text("{heading}: {amount} to {merchant}", "{heading}: {merchant} को {amount}"),
    "language": Text("Language", "भाषा"),
    "test": Text("Test payment, no real money", "टेस्ट भुगतान, असली पैसा नहीं"),
    "help.question": Text("Money deducted?", "पैसे कट गए?"),
    "help.answer": Text(
        "Please do not pay again at once. Either this payment still completes, mostly within minutes, or "
        "your bank returns the money, as a rule within 5 days. If neither happens, give {merchant} the "
        "order number.",
        "कृपया तुरंत दोबारा भुगतान न करें। या तो यह भुगतान कुछ ही मिनटों में पूरा हो जाएगा, या बैंक आपके पैसे "
        "लौटा देगा, आम तौर पर 5 दिनों के अंदर। दोनों न हों तो {merchant} को ऑर्डर नंबर बताएँ।",
    ),
    "noscript.pay": Text(
        "To open {gateway}, this page needs JavaScript. Switch it on in your browser and load the page "
        "again, or go back to {merchant} and pay another way.",
        "{gateway} खोलने के लिए इस पेज को JavaScript चाहिए। अपने ब्राउज़र में इसे चालू करके पेज दोबारा खोलें, या "
        "{merchant} पर वापस जाकर किसी और तरीके से भुगतान करें।",
    ),
    "noscript.wait": Text(
        "Your browser runs no JavaScript, so this page does not find out by itself.",
        "आपके ब्राउज़र में JavaScript बंद है, इसलिए यह पेज खुद पता नहीं कर सकता।",
    ),
    # ── the receipt ──
    "receipt": Text("Receipt", "रसीद"),
    "receipt.paid_at": Text("Paid on", "भुगतान का समय"),
    "receipt.method": Text("Method", "तरीका"),
    "receipt.gateway": Text("Through", "माध्यम"),
    "receipt.order": Text("Order number", "ऑर्डर नंबर"),
    "receipt.reference": Text("Your order", "आपका ऑर्डर"),
    "receipt.payment": Text("Payment number", "भुगतान नंबर"),
    "receipt.refunded": Text("Returned", "लौटाई गई राशि"),
    "method.upi": Text("UPI", "UPI"),
    "method.card": Text("Card", "कार्ड"),
    "method.netbanking": Text("Net banking", "नेट बैंकिंग"),
    "method.wallet": Text("Wallet", "वॉलेट"),
    "months": Text(
        "January February March April May June July August September October November December",
        "जनवरी फ़रवरी मार्च अप्रैल मई जून जुलाई अगस्त सितंबर अक्टूबर नवंबर दिसंबर",
    ),
    # ── the demo shop's status page ──
    "shop.looking.heading": Text("Looking at your payment", "आपका भुगतान देख रहे हैं"),
    "shop.looking.sentence": Text("One moment.", "एक पल रुकें।"),
    "shop.completed.heading": Text("Paid", "भुगतान हो गया"),
    "shop.completed.sentence": Text("Thank you. Your order is on its way.", "धन्यवाद। आपका ऑर्डर रास्ते में है।"),
    "shop.failed.heading": Text("Payment failed", "भुगतान नहीं हो पाया"),
    "shop.failed.sentence": Text(
        "Nothing was ordered. You can start again in the shop.",
        "कोई ऑर्डर नहीं हुआ। आप दुकान पर फिर से शुरू कर सकते हैं।",
    ),
    "shop.expired.heading": Text("Time is up", "समय समाप्त हो गया"),
    "shop.expired.sentence": Text(
        "The payment was not made in time. You can start again in the shop.",
        "भुगतान समय पर नहीं हुआ। आप दुकान पर फिर से शुरू कर सकते हैं।",
    ),
    "shop.authorized.heading": Text("Almost done", "बस थोड़ी देर और"),
    "shop.authorized.sentence": Text(
        "Your bank has agreed; the payment is being confirmed.",
        "आपके बैंक ने मंज़ूरी दे दी है; भुगतान की पुष्टि हो रही है।",
    ),
    "shop.pending.heading": Text("Not paid yet", "अभी भुगतान नहीं हुआ है"),
    "shop.pending.sentence": Text(
        "We are waiting for the gateway’s word.", "हम गेटवे के जवाब का इंतज़ार कर रहे हैं।"
    ),
    "shop.unknown.heading": Text("We do not know this payment", "हम इस भुगतान को नहीं जानते"),
    "shop.unknown.sentence": Text(
        "The address of this page names no order of ours.", "इस पेज के पते में हमारा कोई ऑर्डर नहीं है।"
    ),
    "shop.back": Text("Back to the shop", "दुकान पर वापस जाएँ"),
    # ── when there is nothing to show ──
    "not_here.heading": Text("This payment cannot be made at the moment", "यह भुगतान इस समय नहीं हो सकता"),
    "not_here.sentence": Text(
        "Please go back to {merchant} and choose another way to pay.",
        "कृपया {merchant} पर वापस जाकर भुगतान का कोई और तरीका चुनें।",
    ),
    "unknown.heading": Text("There is no such payment", "ऐसा कोई भुगतान नहीं है"),
    "unknown.sentence": Text(
        "The link may be incomplete. Please open it again from the shop.",
        "शायद लिंक अधूरा है। कृपया इसे दुकान से फिर से खोलें।",
    ),
    "trouble.heading": Text("Something went wrong on our side", "हमारी ओर से कुछ गड़बड़ हो गई"),
    "trouble.sentence": Text(
        "Please open this page again in a moment. If you have paid already, that is not lost.",
        "कृपया थोड़ी देर में यह पेज फिर खोलें। अगर आप भुगतान कर चुके हैं तो वह बेकार नहीं जाएगा।",
    ),
}

WHILE_PAYING = ("opening", "open", "shown_again", "slow", "blocked", "closed", "declined", "leaving", "long")
"""What the hosted page's script says, each a heading and a sentence."""


@dataclass(frozen=True)
class Speech:
    """The table in one language, with the names of one page filled in."""

    language: str
    names: Mapping[str, str]

    def __call__(self, key: str, **more: str) -> str:
        text: str = getattr(WORDS[key], self.language)
        return text.format_map({"reason": "{reason}", **self.names, **more})

    def pairs(self, *names: str, prefix: str = "") -> dict[str, tuple[str, str]]:
        """Heading and sentence of each, for a script."""
        return {name: (self(f"{prefix}{name}.heading"), self(f"{prefix}{name}.sentence")) for name in names}

    @property
    def others(self) -> dict[str, str]:
        """The languages that one can change to."""
        return {code: name for code, name in LANGUAGES.items() if code != self.language}

    def method(self, method: str) -> str:
        """A gateway's word for how the payer paid; one that we have no word for stays as it is."""
        kind = method.lower().split("_")[0]
        return self(f"method.{kind}") if f"method.{kind}" in WORDS else method.replace("_", " ")

    def moment(self, moment: datetime) -> str:
        """Day and time in India: 7 July 2025, 16:35."""
        there = moment.astimezone(INDIA)
        return f"{there.day} {self('months').split()[there.month - 1]} {there:%Y, %H:%M}"
