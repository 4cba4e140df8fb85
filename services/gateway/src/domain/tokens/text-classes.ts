/**
 * Texts that are one token in every public vocabulary: those of GPT-4 and GPT-4o (`cl100k_base`, `o200k_base`), Llama 2 and 3,
 * Mistral and Claude 2. By them `text-bound.ts` bounds a text whose vocabulary is not known.
 *
 * The tables were computed from the vocabularies; `test/bench/token-bounds.ts` compares the bound with each tokenizer.
 */

/** Pairs of letters: a first letter, or `_` for a space, followed by each second one. Lower case never precedes upper case. */
export const LETTER_PAIRS = `
  _abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ aabcdefghijklmnoprstuvwxyz babcdefgilmnoprstuy
  cabcdefhiklmnoprstuvxyz dabcdefhiklmnoprstuwxyz eabcdefghijklmnpqrstuvwxyz fabcdefgilmnoprstuwx
  gabceghilnorstuyz hadehilmnoprstuwy iabcdefghijklmnoprstuvwxyz jadeikosu kabceghiklmnorstuvwy
  labdegijlmnoprstuvy mabcdeiklmnopqstuvxy nabcdegilmnoprstuxy oabcdefghijklmnoprstuvwxyz pabcdefghiklmnoprstuxy
  qalqtu rabcdefghilmnoprstuvwxyz sabcdefghiklmnopqrstuvwz tabcdefhiklmnoprstuvwxyz uabcdefghijklmnoprstvwxyz
  vabcdeilmorsty wadehinoprstwxy xacefilpstxy yacdegklmnoprsty zadehikmnostuwyz
  AbcdghlmnprstvzABCDEFGIKLMNPRSTUVWX BeiloruyABCDEFILORSUY ChlorABCDEFGHIKLMNOPRSTV DabeiorABCDEFILMNOPRSTU
  EdlmnqrsxBCDEFLMNPQRSTVX FeilnrABCDEFILMOPRSTX GeoruABCEGLMNOPRST HaeiyzACDEHILOPRST IdflmnstABCDEFGILMNOPRSTVXZ
  JeosS KeES LaeiouACDEILMOPSTY MaceoryABCDEILMOPRSTY NaeoACDEFGILNOPRSTU ObfhkmnprsBCDFKLMNPRST
  PehiloryACDEFGHIKLMNOPRSTUY QtuLU ReoACEILOST SacehiklmoptuwABCDEFGHIKLMNOPRSTUVWY TehorwyACDEFHILMOPRSTVXY
  UnpsBCDEGIKLMNPRST VABCDEFIMOPS WehADEFHIMNPRST XTXY YY ZE
`;

/** Triples of letters, likewise: the first two, followed by each third one. */
export const LETTER_TRIPLES = `
  _abcdfghijklmnoprstuvwxyz _baegiloruy _cabcdehilmoprsuvxy _dabefiorstuvwxyz _ebcdgjklmnpqrstuvx _faeilnorstu
  _gaeiloruy _haeiory _icdefghiklmnoprstvz _jaeosu _kaegilmnovw _labeilouy _madeikmopsuy _naegioprsuy
  _obcdfghklmnprstuvx _pacdeghilmoprstuy _qu _raehimosuy _sabcdefhijklmnopqstuvwyz _tadefhimorsuvwxy _ubdilmnprst
  _vaeilmorsuy _waehoprxy _yaeo _zaeouw _AbcdfghklmnprstuvwxyzABCDFGLMNPRSTV _BaehiloruyBCEORY
  _CaehiloruyACDEFHLOPRSTV _DaeioruyABCEIJMOR _EdgklmnpqrstuvxzCDLMNPRSUX _FaeloruACIMOR _GaehiloruyBCLOPRT
  _HaeiouyDEOT _IdflmnorstzCDEFILMNOPRSTVX _JaeioruS _Kaehilnoruy _LaeiouyAEILOP _MaceioruyABCDELOPRSY
  _NaegiouyACEOSY _ObfghklmnprstxFKNPRS _PaefhiloruyACKLMORS _Qtu _RaehouyCEO
  _SacehiklmnoprtuwyzACDEFHIKLMNOPRSTUVWY _TaehiorsuwyEHORV _UlmnprsEIKNPS _VaeioIM _WaehiouyHM _XIVX _Yaeu _Zeu
  ababceilsy acacehikosty adadeijorstvy aff agaeghinosu ahalnoru ailnrst ajaeo akaehiostu aladefgiklosty
  amabdeilmopsty anacdegiknostyz apaehipsty aqu aracdegikmnoprstuy asacehikmpsty ataehiostuz aucdfgrstx avaeioy
  awakns axy ayas azaeiuyz badglnrst becdklnrst biadeglnost bleo bolnrtwxy braeo bst btn budfglmrst bye calmnprst
  cca cedlnprs cfg chaeiknorst ciadelnoprt ckes cleiks cmdp cnt codlmnprsuvw cppuy creio cssv ctlrx culprt
  daglmnrsty dbc decdfglmnprstvx didegmrstv docgmnt dro dst duep eadr ecaht edaeisuy eens efef ego eks
  eladefilmnosty emabepsuy enacdeginostuvyz eps equ eracdegiknorstvy esacehopst etacehiostyz eur expt fabcnrs
  felnr fff ficglntx fluy fmt folnorx fre fty fulnr galnrs gebdlmnorstw giefnot gley gnu godmnrtvw graeo guein
  habdlmnrst hedlmnrstx hibmnpst hoflmnrstuw hpp htt hums iachlmnorst ibaer icaehikostyz idadeiosx iedfgklmnrstuvw
  ifaefisty igaeghinorstu iii ijaeikno ikaehikotu iladeilosty imabegimops inacdefgiknostvxy iodmnrst ipepst iqu
  iradeiklmost isacehiklmopsty itaehiostuyz iums ivaeio ixa izaez jalnrsvx jenrst jobns jpg jsp jud kalnr
  kedelnrsty kilmnrt kolmnrv kte labdgmnprstvwy lbl ledegmnrstvxyz liabcegkmnotv llae locgnrstvw lst lua lyn
  macdglnprstxy medlmnrst micdlnrtx modnrstvz msg mulnst mys nahlmnrstv neadglnorstwyz niacehklmst nocmnrstvw numt
  obabeijsy ocachikorty odadeioy off ogaenosy ohln oidnrs okaeiosu oladefiklosty omabeimopsy onadegiosty
  oodklmnprt opehpsty orabdefgikmnoprsty osacehiopst otaehost oudlnprstx ovaeio owaens padglnrsty pdf pecdlnrstz
  phaipy picdenost pkg pley png podlnprstw ppe preo psi ptorsy pubrst que rabcdghijlmnprstwyz
  reabcdefgiklmnpqrstvwyz rgb rho riabcdefgjklmnoprstvxz robcdeglmnprstuvwy rugmnps rys salmny schr sdk
  secdeglmnpqrtxy shae siglmnx skiy solmn spelr sql src ssl stadeory submnpr svg symns tabglnrtux tbl tcp
  tedkmnrsx thaey tidlmpt tmlp toklmnprt traeily ttpy two txt typ ualn ubae ucehkt udaeio uedlnrs uff ugaeghs
  uidst uki ulaefilopstuy umabeimnps unacdegikost uppst urabegilmnostuy usabcehkorstz utaefhiostz uve uzz valnrs
  vecdlnrstyz viadklnrs vodlr vre walnrsy webdginr whoy widegkn wonr www xic xml xxx yaln yers ylel ync you ype
  yst zas zedjklnrs ziegnp zon Acct Add Aff Allt Andgty Apip Aregmrt Ass Att Aut ACEKT ADD AGE ALL AMEP ANDGT APIP
  ARDTY ASCEHST ATAEH AUT Badglrs Belnr Bigt Box Bro Btn Bust BER BIT BUG Calmnprt Che Cmd Colmnr Cur COLMN CRE
  CSS CUR Danty Decflnprstv Didegmrsv Docmn DATY DEFRX DIRS DOM Emp Encdgtv Equ Err Est Expt ECT ENDTV ERERSTY EXT
  Figln For Fun FIGX FOR Gent Gre Gui GENRT Hars Helnr Holmrtw Hub HER Ids Ign Ill Imgp Indftv IAL ICE IDE IES IGN
  III ILL IME INDEGT ION ISOT ITEHY IVE Jan Job Key Kit KEY Lat Legnst Libn Locgsu LABY LEDS LIN LOBCGW
  Macdglnprtxy Medmnrt Miln Modn Msg Mus MANPX MINT MON Nav Netw Nil Nontw Num NERTW NOT NUM Obj Occt Off Old One
  Opt Ord Out OFF ONEG OPT ORDMSTY OUT Padlnrty Per Phi Podlps Preo Psi Ptr Pubt PAR PDF PER PHP POS PREIO PUT Que
  QUE Radw Recdfglmpst Robtw Run REDEFGS RGB ROMPW Salmn Sch Secegmqrt She Silm Spe Sql Ster Submr Sym SEERT SHA
  SON SQL SSL STR SUB Tabg Tex The Tim Tomp Traiy Two Typ TAG TER THE Und Uril Use UES UID ULLT UNDT UREILN USAET
  UTCEF Valr Vecr Vis Vol VALR VER VIDS Web Whoy Win WIN Xml XML Yes You YPE
`;

/** The most common of the words that are one token both with a space before them and without. */
export const COMMON_WORDS = `
  able about acc accept access account act action activ active actual add added address adv aff after age ago air
  alg all alle allow als also alt always amb amount anal and android ang anim ann ans answer ant any app appe
  application apply appro aqu are area arg args around arr array art article ask ass assert async att auf aus aut
  auth author auto autom aux available await away back background bad bal bank bar bas base based because bed
  before begin bel ben ber bes best bet between big bil bin bit black block blog board body bon book bool boolean
  border both box brand bre break bro btn bud build building bus but button cal call called cam camp can cap car
  card care cas case catch cell cent center cert change changes char character che check child children cho cir
  city class cle clean clear click client close code col coll collection color column com comb come comes comm
  command comment common comp company complete component con cond condition conf config connect connection cons
  console const cont contact content context continue contr control conv cook copy cor correct cost cou could
  count country course cover cre create created cred crit cur current custom customer cut dam dan dar das dat data
  date day days dec decl def default deg del delete dem den dep der des description design dest det details dev
  develop device did die dig dim dir dire direct dis display dist dit div doc document does dog dom don done door
  double down download draw dro due each echo een eff effect ele elect element else email emb emp enc end energy
  eng engine ens ensure ent enter entre environment equ era err error esc ess est este etc even event events ever
  every example except exist exp expect expected expl express ext extra fac face fact fall false family fan far
  fast feature features field fig fil file files fill film filter fin final find fire first fit five flex float
  focus follow font foot for fore form format forward found four fre free friend from front ful full fun func
  function fund game gar gen gener general ger ges get gew global going good got grand gre gro group hab had hal
  half han hand handle har hard has hat have head heart height hel help her here het high him his history hit hol
  hold hom home hon hor host hot house how href http https hum human ich ide idea ident ill image imp import
  important inc include includes including ind inde index inf info information ing init initial inn input ins inst
  install instance int inte integr inter interface intern into inv iss issue issues ist item items its java job
  join json just kan kar keep key kind know known kom kon label land lang language larg large las last lat latest
  law learn left leg len length les less let level lib life light lik like likely lim limit line link list live
  load loc local location log long look looking los loss lot low lower made mag main major make making mal man
  management many map mar mark market mas mass mat match material max may mean med media mel mem member members
  men mer mes message met method mid mil mill min mind mir miss mit mod mode model models mon month mor more most
  mot mov move msg mult mus must mut nam name nas natural need neg net network new news next nie night nil node
  non normal nos not nov now null num number obj object occ och oder off old once one online only ont open oper
  opp opt option options ord order org organ original other our out output over override own pack pag page pal pan
  paper par para param params parent part pas pass password pat path pay pen people per percent perform period
  perm pers person pet phone phys pick pie place plan plant platform play player ple plus pod point points pol
  polit pop por port pos position poss possible post pot power pre prec pred pres present press previous price
  prim print priv private pro prob process produ product products prof program project prom prop property
  protected prov public pur put qual quality que query quest question quick range rap rate read ready real reason
  rec record red ref refer reg register regular rel rem remove ren render rep report request require required res
  respons response rest result results ret return review right role room root row run running sal sam same save
  say sch school screen search season sec second section see seen seg sel select selected self sem sen send sent
  ser series serv server service services session set sex share she short should show side sig sign sil sim simple
  sin since sing single site size small social sol som some something son sort source space spe spec special
  specific src stand standard start stat state static status std ste step stock stop store story str stream string
  strong struct stud student style sub subject success such sum sup super support sur switch sym system tab table
  tag take tal tar target task tax team techn tele tem temp template ten ter term test text than that the then
  there they thing third this though three through throw til tim time times title token tom tool top tot total
  track training trans tre true try turn two typ type types uint uma una und under une unique uns until update url
  use used user users using util val valid value values van var vari ver vers version very vez via video view vir
  virt vis void vol vor wait walk war was watch water way ways web week weight well wer what when where which
  while white who why width wie will win window with without won wor word words work working works world write
  writing www year you your
`;

/** Characters outside ASCII. */
export const SINGLE_CHARACTERS = `
  ¡¢£¦§©«®°±¶·»¿ÁÂÃÇÉÍÓ×Üßàáâãäåæçèéêëìíîïðñòóôõöøùúûüýāăą
  ćčđęěğīıłńōőœřśşšţūůźżžưșțαβγεθικλμνοπρστφωАБВГДЕЗИКЛМНО
  ПРСТУФЧЯабвгдежзийклмнопрстуфхцчшщъыьэюяёіאבדהוחילמנערשת
  ابةتجحخدرزسشصطعفقكلمنهوىيکیकतनमरलसहอา‐–—―‘’“”„†•′€↑→↓−─━
  ═╗╝█░■●⠀、。「」【】あいうえおかがきくけこさしすせそただちっつてでとどなにのはばまみめもやよらりるれわを
  んアィイウェエオカキクグコサシジスセタッテデトドパフブプマムメュョラリルレロン・ー一万三上下不与专业东两个中串为
  主么义之也书了事二于五些交京人今从他付代以们件任会传位体何作你使例保信修值像元先入全公共关其内再写出击分列则初利
  到制前力功加务动動包化北区十华单南原去县参及反发取变口只可台右号司合同名后向否告员周命和品商器四回因国图土在地场
  址型城基報場处复外多大天失头好如始子字存学安完定实客家容密对导将小少尔就局展山州工左已市布常平年并广序库应店度建
  开式引张当录形影後得微心必志态思性息情意成我或户所手打技拉持指按换据接提支收改放政效数文料断新方族无日时明星是時
  景更最月有服期未本机条来构果查标样格模次止正此段每比民水求江没治法注活流海消清源点然片版物特现理生用由电画界登的
  目直相省看真知码确示社种科称移程空立站章符第等算管类系素索线组经结给统编网置老者而联能自色节英藏行表装西要视角解
  言計计认记设试话该语说请调象败起超路身转载输达过运近还这进连送选通速造道部都配里重量金错长開間関门问间阳限院除集
  需非面音页项题首高가개경고과구그기나내는니다대도동드들라로를리만면문미보부사산상서성세소수스시식아어에여오요용우
  원위은을음의이인일자장재전정제주지터트하한해호화
`;

/**
 * Characters of `SINGLE_CHARACTERS` that are two tokens after a space in some vocabulary: the space and their first bytes are one token,
 * which leaves the other bytes alone.
 */
export const SPLIT_BY_SPACE = `
  值像前動原去县告员周命品址城基報場好始市布常建息情意拉持指按换据景次段每比民水求江没治活源然现理省看真确程空立站章等算管
  素索线网置老者而联色节装要言計调象败起超路转载道部长開間関阳集需非面题首는를미산터트器符藏↑↓●商型局展山序库应店度心必
  志态思性支收改放政時条构果法消드들라로면소스어
`;
