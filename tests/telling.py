"""Sentences as people write them to a support desk; what may tell who somebody is stands in [[kind:…]]. A list to measure with."""

SENTENCES = """\
[[name:Sarah Connor]] called me yesterday about the blender.
[[name:Amina]] Haddad is my neighbour.
I'm [[name:John Smith]] and my toaster smokes.
I am [[name:Amina Haddad]], the tenant of flat 4.
Hi, it's [[name:Priya]] again.
My wife [[name:Lena]] bought it.
Please ask for [[name:Tom Okafor]] at the desk.
Best,\n[[name:Olu Adeyemi]]
Kind regards\n[[name:María-José Carreño]]
Yours sincerely,\n[[name:Anna O'Brien]]
Mr [[name:van der Berg]] signed for it.
Dr. [[name:Nguyen]] prescribed 20 mg.
Nurse [[name:Okonkwo]] took the sample.
My son, [[name:Jakub Nowak]], is allergic to nuts.
The patient is [[name:Zoë Müller]], born in 1950.
The claimant, [[name:Robert T. Jones]], disagrees.
Mein Name ist [[name:Jürgen Groß]].
Ich bin [[name:Karin Schmidt]] aus Bonn.
Je suis [[name:Élodie Martin]] et je voudrais un remboursement.
Me llamo [[name:Íñigo Núñez]].
Sent to [[name:Li Wei]] on Tuesday.
From: [[name:Hannah Kim]]
Name: [[name:Olga Petrova]]
name: [[name:olga petrova]]
Customer [[name:Mehmet Yılmaz]] wants his money back.
write to [[e-mail:amina.haddad@ward.example]]
mail me: [[e-mail:a_b-c+d@mail.co.uk]], thanks
[[e-mail:JOHN.SMITH@EXAMPLE.COM]] is my address
[[e-mail:josé@correo.example]] por favor
contact [[e-mail:x.y@sub.domain.example.org]].
my cell is [[phone:555-010-4477]]
my cell is [[phone:5550104477]]
call [[phone:+1 (555) 010-4477]]
call [[phone:+447700900958]] now
ring [[phone:020 7946 0958]] after six
Tel. [[phone:089/12345678]]
Tel: [[phone:0171 1234567]]
phone [[phone:07700 900958]]
telefone [[phone:01 42 68 53 00]]
Mobile: [[phone:0612345678]]
Ruf [[phone:+49 (0)30 901820]] an
handy [[phone:0151-23456789]]
WhatsApp [[phone:+91 98765 43210]]
phone [[phone:1-800-555-0199]]
fax [[phone:(020) 7946 0958]]
order [[number:AB-2024-00017]]
invoice [[number:INV20240017]] is wrong
policy no. [[number:7734-0091-22]]
customer number [[number:88231045]]
account [[number:12345678]] sort code [[number:20-00-00]]
my NHS number is [[number:943 476 5919]]
passport [[number:C01X00T47]]
patient ID [[number:P-4471]]
case [[number:2023/CV/01881]]
licence plate [[number:B-MW 1234]]
IBAN [[number:GB29 NWBK 6016 1331 9268 19]]
card [[number:4111-1111-1111-1111]]
SSN [[number:078-05-1120]]
ticket [[number:#48213377]]
VIN [[number:1HGCM82633A004352]]
tracking [[number:1Z999AA10123456784]]
date of birth [[number:12.03.1957]]
DOB: [[number:1957-03-12]]
born on [[number:March 12, 1957]]
server [[address:192.168.10.44]] is down
ip [[address:2001:db8:85a3::8a2e:370:7334]]
my MAC is [[address:00:1A:2B:3C:4D:5E]]
password: [[secret:hunter22!]]
my PIN is [[secret:4471]]
key [[secret:sk-proj-abcdefghijklmnopqrst]]
token [[secret:ghp_abcdefghijklmnopqrstuvwxyz]]
Passwort ist [[secret:Geheim77]]
I live at [[place:14 Elm Street]].
Send it to [[place:Hauptstraße 12, 10115 Berlin]]
my address: [[place:221B Baker Street, London]]
My blender arrived broken on Friday. I need it by Monday.
The total is 1,240.50 in 2024, about 15% more.
Use Python 3.11 and version 2.4.1 of the tool.
I am sorry. The printer is two years old.
Dear Sir, thank you.
What is the capital of France?
Explain photosynthesis in two sentences.
Write a poem about the sea and 3 boats.
How do I boil an egg for 7 minutes?
The meeting is at 10:30 on Monday, 3 March.
It costs $1,299.00 or 1.299,00 EUR.
Please restart the router and wait 30 seconds.
In 1922 the kettle was invented.
I'm happy to help with that. Could you tell me more?
Thank you for your message. We are sorry for the delay.
Yes. I would like a refund, please.
Unplug it. Wait ten minutes. Then try again.
The recipe needs 200 g of flour, 100 ml of milk.
Our opening hours are 9 to 17.
1. First step 2. Second step
Is it normal that the battery lasts 4 hours?
Was ist der Unterschied?
She said that it works fine now.
I am very disappointed with this product.
This is broken and this is sad.
Take 20 mg twice a day for 10 days.
The pH is 7.4 and the temperature 36.6 degrees.
I told [[name:Amina]] about it.
[[name:Lena]] said she would pay.
Yesterday [[name:Fatima]] called about it.
Dear Customer Service, nothing works.
Как у вас дела сегодня, всё хорошо.
Меня зовут [[name:Ольга Петрова]].
我叫[[name:王小明]]。
السلام عليكم، كيف حالك اليوم؟
Wie kann ich meine Waschmaschine reinigen?
Der Drucker steht im Büro neben der Tür.
Good Morning! Happy New Year.
This is NOT acceptable!
Can Python do it?
What Is Machine Learning? It is a field.
Use React or Vue for the front end.
The invoice was addressed to [[name:Marta Kowalska]] by mistake.
[[name:Deepak Chopra]] ordered two of them.
Could you forward this to Ms. [[name:Fernández]]?
My brother-in-law [[name:Sven]] repaired it.
I spoke with [[name:Hiroshi]] from your team.
Signed, [[name:Ebere Nwosu]]
Thank you,\n[[name:Grace]]
Hello, I'm [[name:Stéphane]] and I need help.
The tenant, Mrs [[name:Papadopoulos]], has moved out.
Our daughter [[name:Mia]] is three.
Patient: [[name:Ahmed Al-Sayed]]
Attn: [[name:Louise Brown]]
Dr. [[name:Weber]] hat mir das empfohlen.
Ich heiße [[name:Björn Lund]].
The late [[name:Margaret Hale]] owned it.
reply to [[e-mail:support+eu@shop-online.example]]
My e-mail is [[e-mail:k.o@uni.example.ac.uk]]!
You can reach me on [[phone:+33 6 12 34 56 78]].
Telefon: [[phone:040/123 45 67]]
call me back at [[phone:212.555.0147]]
his number is [[phone:07911 123456]]
Kundennummer [[number:5529301]]
my order number is [[number:902-1184407-5531]]
reference: [[number:XK-77123]]
claim no. [[number:88-40213]]
Driver licence [[number:MORGA657054SM9IJ]]
birthday: [[number:3 May 1984]]
geboren am [[number:01.02.1990]]
account number [[number:00442219]]
member ID [[number:M1038842]]
deliver to [[place:27 Rose Lane, Oxford]]
[[place:Lindenallee 5, 50667 Köln]]
near [[place:12 rue de Rivoli]]
postcode [[place:SW1A 1AA]]
I live in [[place:Calle Mayor 15]], Madrid
connect to [[address:10.0.0.7]]
host [[address:fe80::1ff:fe23:4567:890a]]
the passcode is [[secret:Tr0ub4dor]]
use [[secret:AKIAIOSFODNN7EXAMPLE]]
pin: [[secret:9921]]
How long does shipping take to Canada?
The kettle stopped working after 3 months.
Translate this sentence into French.
It works on Windows 11 and macOS 14.
Write a short story about a dragon.
Why is the sky blue?
Refunds take 5 to 10 working days.
The film was released in 1999 and won 4 awards.
Our team will contact you soon.
Mix 250 g sugar with 2 eggs.
Wo finde ich die Bedienungsanleitung?
Das Gerät hat 2 Jahre Garantie.
Je voudrais annuler ma commande.
What does error E23 mean?
He paid with cash at the counter.
Set the oven to 180 degrees for 25 minutes.
"""
