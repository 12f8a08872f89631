"""How everything looks: the tokens, the stylesheet made of them, fonts and icons. No other module names a colour, size or font."""
