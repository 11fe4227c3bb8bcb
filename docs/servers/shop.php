<?php // A shop's server in PHP 8 with pdo_sqlite, without composer: quotes, events, refunds.
// php -S 127.0.0.1:8000 shop.php
// Set PAYMENTS_URL, PAYMENTS_KEY (scopes write+refund), MERCHANT_WEBHOOK_SECRET, SHOP_DB, STAFF_TOKEN.
$db = new PDO('sqlite:' . getenv('SHOP_DB'));
$db->exec('CREATE TABLE IF NOT EXISTS orders (number TEXT PRIMARY KEY, paise INTEGER, paid_by TEXT)');

function ask(string $path, array $body, string ...$headers): never {
    $all = ['Content-Type: application/json', 'Authorization: Bearer ' . getenv('PAYMENTS_KEY'), ...$headers];
    $wish = ['method' => 'POST', 'header' => $all, 'content' => json_encode((object) $body),
        'ignore_errors' => true, 'timeout' => 40];
    $told = file_get_contents(getenv('PAYMENTS_URL') . $path, false, stream_context_create(['http' => $wish]));
    answer($told === false ? 502 : (int) explode(' ', $http_response_header[0])[1], (string) $told);
}

function answer(int $status, string $told): never {
    http_response_code($status);
    header('Content-Type: application/json');
    exit($told);
}

function is_genuine(string $body): bool {
    $second = $_SERVER['HTTP_WEBHOOK_TIMESTAMP'] ?? '';
    if (abs(time() - (int) $second) > 300) return false;
    $key = base64_decode(str_replace('whsec_', '', getenv('MERCHANT_WEBHOOK_SECRET')));
    $signed = ($_SERVER['HTTP_WEBHOOK_ID'] ?? '') . ".$second.$body";
    $right = 'v1,' . base64_encode(hash_hmac('sha256', $signed, $key, true));
    foreach (explode(' ', $_SERVER['HTTP_WEBHOOK_SIGNATURE'] ?? '') as $one) if (hash_equals($right, $one)) return true;
    return false;
}

$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
if ($path === '/hooks/payments') {
    $body = file_get_contents('php://input');
    if (!is_genuine($body)) answer(400, '{}');
    ['type' => $type, 'data' => $data] = json_decode($body, true);
    // An event may come twice: this does no harm then. In production, refuse $data['mode'] === 'test', too.
    if ($type === 'payment.completed' && $data['priceVerified'])
        $db->prepare('UPDATE orders SET paid_by = ? WHERE number = ? AND paise = ?')
            ->execute([$data['id'], $data['reference'], $data['amountPaise']]);
    answer(200, '{}');
}
if (!preg_match('#^/orders/([\w-]+)/(quote|refund)$#', $path, $asked)) answer(404, '{"error": "Not found"}');
[, $number, $wish] = $asked;
$found = $db->prepare('SELECT paise, paid_by FROM orders WHERE number = ?');
$found->execute([$number]);
if (!($order = $found->fetch(PDO::FETCH_ASSOC))) answer(404, '{"error": "There is no such order"}');
if ($wish === 'quote') { // the page sends the quote to create-order, and no amount
    $rupees = sprintf('%d.%02d', intdiv($order['paise'], 100), $order['paise'] % 100);
    ask('/api/quote', ['amount' => $rupees, 'reference' => $number]);
}
if (!hash_equals(getenv('STAFF_TOKEN'), $_SERVER['HTTP_X_STAFF_TOKEN'] ?? '')) answer(403, '{"error": "Staff only"}');
if (!$order['paid_by']) answer(409, '{"error": "This order is not paid"}');
ask("/api/payment/{$order['paid_by']}/refunds", [], "Idempotency-Key: whole-refund-of-order-$number"); // twice is once
